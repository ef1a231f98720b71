// The result takes its time when it is written.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return { get slow() { for (;;); } };
}
