// Each level catches the end of the one below it.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const kept = [];
  const dive = (depth) => {
    try {
      for (;;) {
        kept.push([depth]);
        if (kept.length % 1_000 === 0 && depth < 1_000) dive(depth + 1);
      }
    } catch {
      return dive(depth);
    }
  };
  return dive(0);
}
