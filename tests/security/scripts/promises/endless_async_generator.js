// `for await` without an end.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
async function process() {
  async function* ticks() { for (;;) yield; }
  for await (const tick of ticks());
}
