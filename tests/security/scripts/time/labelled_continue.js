// A loop whose body leaves it at once, and comes back.
// expect: timed_out
// limits: wall_ms=200
function process() {
  again: for (;;) {
    for (;;) continue again;
  }
}
