// A console line that is never finished.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  console.log({ toJSON() { for (;;); } });
}
