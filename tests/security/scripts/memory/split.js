// A text into its characters, too many at once.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  return "ab,".repeat(60_000_000).split(",").length;
}
