// Groups the digits of a number with a million of them.
// expect: timed_out
// limits: wall_ms=300 memory_bytes=268435456
function process() {
  const huge = 10n ** 1_000_000n;
  for (;;) if (huge.toLocaleString("hi") === "") return 1;
}
