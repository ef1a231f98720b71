// A native search from the far end of an object that says it is long.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return Array.prototype.lastIndexOf.call({ length: 2 ** 53 - 1 }, 1);
}
