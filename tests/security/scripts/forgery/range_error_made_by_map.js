// The words of a refused buffer, in an error that a builtin made from a text.
// expect: threw
// known: whether V8 made an error is read from a stack that can be taken again
// error: RangeError: Array buffer allocation failed
function process() {
  throw ["Array buffer allocation failed"].map(RangeError)[0];
}
