// A cause that takes for ever to look at.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  throw Object.defineProperty(new Error("outer"), "cause", { get() { for (;;); } });
}
