// A loop whose body leaves it at once, and comes back.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  again: for (;;) {
    for (;;) continue again;
  }
}
