// Code from a text.
// expect: threw
// error: EvalError
function process() {
  return eval("1 + 1");
}
