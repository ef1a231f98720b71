// Nested looks ahead.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return /^(?=(?:a*)*b)(?:(?:a*)*)*c/.test("a".repeat(40));
}
