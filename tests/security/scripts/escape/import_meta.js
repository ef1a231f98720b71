// A module's view of itself, which a script does not have.
// expect: threw
// error: SyntaxError
function process() {
  return import.meta.url;
}
