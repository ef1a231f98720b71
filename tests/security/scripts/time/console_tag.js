// The same, in the text that stands in for a value that cannot be shown.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  console.log({ toJSON() { throw 1; }, get [Symbol.toStringTag]() { for (;;); } });
}
