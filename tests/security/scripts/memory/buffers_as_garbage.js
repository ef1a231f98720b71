// The same beside the heap.
// expect: succeeded
// limits: memory_bytes=67108864
// output: 200000000
function process() {
  let n = 0;
  for (let i = 0; i < 200; i++) n += new Uint8Array(1_000_000).fill(1).length;
  return n;
}
