// Needs more room to go back than the engine gives.
// expect: threw
// error: RangeError: Maximum call stack size exceeded
function process() {
  return /(?:a|b|c|d|)+?$/.test("abcd".repeat(8_000_000)) && /(?:.|\n)*x/.test("y\n".repeat(20_000_000));
}
