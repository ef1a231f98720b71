// Keeps nearly all of the memory that it may have, and then takes for ever: not the memory's fault.
// expect: timed_out
// limits: wall_ms=300 memory_bytes=536870912
function process() {
  const kept = new Uint8Array(120_000_000).fill(1);
  while (kept.length);
}
