// A conversion that does not return.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return { [Symbol.toPrimitive]() { for (;;); } } < 1;
}
