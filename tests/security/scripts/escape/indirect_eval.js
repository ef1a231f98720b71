// The same in the global scope.
// expect: threw
// error: EvalError
function process() {
  return (0, globalThis["ev" + "al"])("globalThis");
}
