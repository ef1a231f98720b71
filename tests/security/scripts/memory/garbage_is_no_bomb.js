// Makes much more than the limit, and keeps none of it.
// expect: succeeded
// limits: memory_bytes=67108864
// output: 500000
function process() {
  let n = 0;
  for (let i = 0; i < 500_000; i++) n += [i, `${i}`, { i }].length - 2;
  return n;
}
