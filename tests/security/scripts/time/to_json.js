// The same with `toJSON`.
// expect: timed_out
// limits: wall_ms=200
function process() {
  return [{ toJSON() { for (;;); } }];
}
