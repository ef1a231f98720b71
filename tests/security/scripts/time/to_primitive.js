// A conversion that does not return.
// expect: timed_out
// limits: wall_ms=200
function process() {
  return { [Symbol.toPrimitive]() { for (;;); } } < 1;
}
