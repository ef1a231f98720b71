// `instanceof` asks, and waits for the answer.
// expect: timed_out
// limits: wall_ms=200
function process() {
  return 1 instanceof { [Symbol.hasInstance]() { for (;;); } };
}
