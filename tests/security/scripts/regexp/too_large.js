// An expression that is too large to compile.
// expect: threw
// error: SyntaxError
function process() {
  return new RegExp("(?:a{1000}){1000}{1000}");
}
