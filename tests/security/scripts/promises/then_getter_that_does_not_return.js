// The same while `then` is looked up.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return { get then() { for (;;); } };
}
