// Awaits nothing, again and again.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
async function process() {
  while (true) await null;
}
