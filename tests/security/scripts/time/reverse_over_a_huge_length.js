// Reverses nothing, 2**52 times.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return Array.prototype.reverse.call({ length: 2 ** 53 - 1 });
}
