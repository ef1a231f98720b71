// Microtasks of the top level that starve everything after it.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
const again = () => { Promise.resolve().then(again); };
again();
const process = () => 1;
