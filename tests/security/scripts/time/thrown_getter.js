// An error whose message takes for ever to read.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  throw { name: "Slow", get message() { for (;;); } };
}
