// The bomb is outside of `process`.
// expect: out_of_memory
// limits: memory_bytes=67108864
const kept = [];
for (;;) kept.push(new Array(1_000).fill(kept.length));
