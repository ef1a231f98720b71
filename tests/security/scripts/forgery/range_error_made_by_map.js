// The words of a refused buffer, in an error that a builtin made from a text.
// expect: threw
// error: RangeError: Array buffer allocation failed
function process() {
  throw ["Array buffer allocation failed"].map(RangeError)[0];
}
