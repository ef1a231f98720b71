// Sixty small arrays, 2**60 ways through them.
// expect: timed_out
// limits: wall_ms=200
function process() {
  let doubled = [];
  for (let i = 0; i < 60; i++) doubled = [doubled, doubled];
  return doubled.flat(Infinity);
}
