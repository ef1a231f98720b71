// An iterator without an end.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function* numbers() {
  for (let n = 0; ; n++) yield n;
}
function process() {
  let sum = 0;
  for (const n of numbers()) sum = (sum + n) % 7;
  return sum;
}
