// Durations that are counted in the smallest unit, for ever.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const start = Temporal.PlainDate.from("-200000-01-01");
  for (;;) start.until("+200000-01-01", { largestUnit: "months" }).months;
}
