// Compares long texts that differ at their end.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const [a, b] = ["a", "b"].map((end) => "é\u0301".repeat(100_000) + end);
  for (;;) if (a.localeCompare(b, "sv") > 0) return 1;
}
