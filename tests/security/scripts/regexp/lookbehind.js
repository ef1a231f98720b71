// The same backwards.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return "x".concat("a".repeat(40)).match(/(?<=^y(a|a?)+)$/);
}
