// One operator, millions of digits.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=268435456
function process() {
  for (;;) 7n ** 20_000_000n;
}
