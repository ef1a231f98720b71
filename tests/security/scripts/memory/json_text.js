// A text of JSON that is much larger when it is read.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  return JSON.parse(`[${"{},".repeat(10_000_000)}{}]`).length;
}
