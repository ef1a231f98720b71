// Errors that take for ever to look at.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const error = new AggregateError([], "all");
  error.errors = new Proxy([], { get() { for (;;); } });
  throw error;
}
