// More arguments than the stack holds.
// expect: threw
// error: RangeError: Maximum call stack size exceeded
function process() {
  return Math.max(...new Array(5_000_000).fill(1));
}
