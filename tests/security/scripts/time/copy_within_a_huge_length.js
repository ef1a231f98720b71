// Moves holes about.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return Array.prototype.copyWithin.call({ length: 2 ** 53 - 1 }, 0, 1);
}
