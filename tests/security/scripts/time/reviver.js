// `JSON.parse` asks user code about each value.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return JSON.parse("[1]", function () { for (;;); });
}
