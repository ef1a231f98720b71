// Reads and writes numbers of many digits.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=268435456
function process() {
  const digits = "7".repeat(2_000_000);
  for (;;) if (BigInt(digits).toString() !== digits) return 1;
}
