// V8's own functions.
// expect: threw
// error: SyntaxError
function process() {
  return %GetOptimizationStatus(process);
}
