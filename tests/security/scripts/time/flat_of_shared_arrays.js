// Sixty small arrays, 2**60 ways through them.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  let doubled = [];
  for (let i = 0; i < 60; i++) doubled = [doubled, doubled];
  return doubled.flat(Infinity);
}
