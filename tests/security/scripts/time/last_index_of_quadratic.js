// A native search whose every place fails at the very end.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return "a".repeat(2 ** 22).lastIndexOf("a".repeat(2 ** 21) + "b");
}
