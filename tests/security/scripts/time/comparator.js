// A comparator of `sort` that does not return.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return [3, 1, 2].sort(() => { for (;;); });
}
