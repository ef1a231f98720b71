// A small result in memory, an enormous one in writing.
// expect: out_of_memory
// limits: memory_bytes=67108864 output_bytes=268435456
function process() {
  const line = "x".repeat(1_000_000);
  return new Array(400).fill(line);
}
