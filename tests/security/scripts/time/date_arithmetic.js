// Dates to the end of time.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const date = new Date(0);
  for (;;) {
    date.setMonth(date.getMonth() + 1);
    if (Number.isNaN(date.getTime())) date.setTime(-8.64e15);
  }
}
