// Catches whatever the bomb throws and goes on.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const kept = [];
  for (;;) {
    try {
      kept.push([1, 2]);
    } catch {
      continue;
    }
  }
}
