// Memory beside the heap.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const kept = [];
  for (;;) kept.push(new Uint8Array(1_000_000).fill(1));
}
