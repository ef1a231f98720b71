// Matches nothing, at the same place for ever.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const empty = /(?:)/g;
  let count = 0;
  while (empty.exec("abc")) count++;
  return count;
}
