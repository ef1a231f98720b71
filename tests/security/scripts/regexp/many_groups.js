// More captures than the engine has registers.
// expect: threw
// error: SyntaxError
function process() {
  return new RegExp("()".repeat(70_000)).exec("");
}
