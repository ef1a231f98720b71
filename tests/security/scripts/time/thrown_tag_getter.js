// A thrown thing that says what it is only when it is too late.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  throw { toJSON() { throw 1; }, get [Symbol.toStringTag]() { for (;;); } };
}
