// Matches nothing, at the same place for ever.
// expect: timed_out
// limits: wall_ms=200
function process() {
  const empty = /(?:)/g;
  let count = 0;
  while (empty.exec("abc")) count++;
  return count;
}
