// Recursion without an end.
// expect: threw
// error: RangeError: Maximum call stack size exceeded
function process() {
  return process();
}
