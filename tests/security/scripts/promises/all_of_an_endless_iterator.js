// Waits for all of endless promises.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=1073741824
function process() {
  const one = Promise.resolve(1);
  function* promises() { for (;;) yield one; }
  return Promise.all(promises());
}
