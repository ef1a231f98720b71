// The result is there; the microtasks do not end.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const again = () => { Promise.resolve().then(again); };
  again();
  return "done";
}
