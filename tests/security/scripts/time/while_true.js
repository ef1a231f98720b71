// The plainest of all.
// expect: timed_out
// limits: wall_ms=200
function process() {
  while (true);
}
