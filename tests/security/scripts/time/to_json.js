// The same with `toJSON`.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return [{ toJSON() { for (;;); } }];
}
