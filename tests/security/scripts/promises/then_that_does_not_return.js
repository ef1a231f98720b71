// A thenable that keeps whoever asks.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return { then() { for (;;); } };
}
