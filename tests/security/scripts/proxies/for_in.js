// Keys that grow while they are visited.
// expect: timed_out
// limits: wall_ms=200
function process() {
  let turns = 0;
  for (;;) for (const key in new Proxy({}, { ownKeys: () => ["a", "b"], getPrototypeOf: () => null })) turns++;
}
