// The result's keys are what does not come.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return new Proxy({}, { ownKeys() { for (;;); } });
}
