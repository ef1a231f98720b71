// A loop in a trap: `instanceof` climbs to a prototype that does not come.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return new Proxy({}, { getPrototypeOf() { for (;;); } }) instanceof Array;
}
