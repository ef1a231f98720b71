// Very many, each too small to be noticed.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const kept = [];
  for (;;) kept.push(new Uint8Array(200).fill(1));
}
