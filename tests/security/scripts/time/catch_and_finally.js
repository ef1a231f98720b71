// Swallows whatever might end it, in `catch` and in `finally`.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  for (;;) {
    try {
      throw new Error("again");
    } catch {
      continue;
    } finally {
      continue;
    }
  }
}
