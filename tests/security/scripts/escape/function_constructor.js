// The way to `Function` that every object has.
// expect: threw
// error: EvalError
function process() {
  return ({}).constructor.constructor("return globalThis")();
}
