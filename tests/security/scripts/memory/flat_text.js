// Texts that are written out, not only put together.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const kept = [];
  for (;;) {
    const text = "ab".repeat(500_000) + kept.length;
    kept.push(text, text.charCodeAt(10));
  }
}
