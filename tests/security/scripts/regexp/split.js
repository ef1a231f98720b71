// A splitter of one's own.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return "abc".split({ [Symbol.split]() { for (;;); } });
}
