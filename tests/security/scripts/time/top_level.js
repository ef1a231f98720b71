// The loop is outside of `process`.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
let n = 0;
while (true) n++;
function process() { return n; }
