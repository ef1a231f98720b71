// A native loop over 2**53 - 1 elements that are not there.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return Array.prototype.includes.call({ length: 2 ** 53 - 1 }, 1);
}
