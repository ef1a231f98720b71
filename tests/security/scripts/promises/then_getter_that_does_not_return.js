// The same while `then` is looked up.
// expect: timed_out
// limits: wall_ms=200
function process() {
  return { get then() { for (;;); } };
}
