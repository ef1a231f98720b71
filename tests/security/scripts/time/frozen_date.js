// Uses the clock that stands still to wait for later.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const end = Date.now() + 10;
  while (Date.now() < end);
  return "later";
}
