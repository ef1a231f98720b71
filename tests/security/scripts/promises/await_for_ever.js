// Awaits nothing, again and again.
// expect: timed_out
// limits: wall_ms=200
async function process() {
  while (true) await null;
}
