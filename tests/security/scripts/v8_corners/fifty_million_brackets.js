// The same, more than there is memory for.
// expect: out_of_memory
// limits: memory_bytes=134217728
function process() {
  return JSON.parse("[".repeat(5e7));
}
