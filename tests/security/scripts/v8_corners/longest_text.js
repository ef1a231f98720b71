// One character more than a text may have.
// expect: threw
// error: RangeError: Invalid string length
function process() {
  let text = "x";
  for (;;) text += text;
}
