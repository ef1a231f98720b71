// `instanceof` asks, and waits for the answer.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return 1 instanceof { [Symbol.hasInstance]() { for (;;); } };
}
