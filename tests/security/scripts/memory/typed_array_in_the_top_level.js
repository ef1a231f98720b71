// Memory beside the heap, before `process` is known.
// expect: out_of_memory
// limits: memory_bytes=67108864
const kept = [];
for (;;) kept.push(new Float64Array(1_000_000).fill(1));
