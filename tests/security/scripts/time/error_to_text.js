// A name whose text takes for ever, which V8 asks for when it makes a stack.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const error = new Error("x");
  error.name = { toString() { for (;;); } };
  throw error;
}
