// A splitter of one's own.
// expect: timed_out
// limits: wall_ms=200
function process() {
  return "abc".split({ [Symbol.split]() { for (;;); } });
}
