// Copies of a buffer.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const buffer = new Uint8Array(2 ** 20).fill(1).buffer;
  const kept = [];
  for (;;) kept.push(buffer.slice(0));
}
