// A thenable that keeps whoever asks.
// expect: timed_out
// limits: wall_ms=200
function process() {
  return { then() { for (;;); } };
}
