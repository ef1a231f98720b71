// `finally` waits for a promise that waits for another.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const forever = () => Promise.resolve().finally(forever);
  return forever();
}
