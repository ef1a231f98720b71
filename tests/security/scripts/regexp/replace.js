// A replacement that never comes to its end.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return "abc".replace(/b/, () => { for (;;); });
}
