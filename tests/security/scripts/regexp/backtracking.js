// Doubles its ways with every character.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return /^(a+)+$/.test(`${"a".repeat(40)}b`);
}
