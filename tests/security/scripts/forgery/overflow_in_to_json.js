// A stack overflow of user code is user code's error.
// expect: threw
// error: RangeError: Maximum call stack size exceeded
function process() {
  return { toJSON() { return this.toJSON(); } };
}
