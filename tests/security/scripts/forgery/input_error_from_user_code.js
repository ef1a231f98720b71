// What `JSON.parse` says to user code is user code's error, not the input's.
// expect: threw
// error: SyntaxError
function process() {
  return JSON.parse("{");
}
