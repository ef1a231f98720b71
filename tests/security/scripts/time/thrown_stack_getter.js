// The same with its stack.
// expect: timed_out
// limits: wall_ms=200
function process() {
  const error = new Error("slow");
  Object.defineProperty(error, "stack", { get() { for (;;); } });
  throw error;
}
