// Lazy helpers that drop everything.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  function* ones() { for (;;) yield 1; }
  return ones().map((n) => n + 1).filter((n) => n > 2).take(1).toArray();
}
