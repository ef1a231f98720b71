// Big numbers that are kept.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const kept = [];
  for (;;) kept.push(1n << BigInt(80_000 + kept.length));
}
