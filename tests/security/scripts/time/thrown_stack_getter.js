// The same with its stack.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const error = new Error("slow");
  Object.defineProperty(error, "stack", { get() { for (;;); } });
  throw error;
}
