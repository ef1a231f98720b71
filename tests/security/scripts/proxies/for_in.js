// Keys that grow while they are visited.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  let turns = 0;
  for (;;) for (const key in new Proxy({}, { ownKeys: () => ["a", "b"], getPrototypeOf: () => null })) turns++;
}
