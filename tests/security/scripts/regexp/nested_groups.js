// Groups in groups, deeper than any stack.
// expect: threw
// error: SyntaxError
function process() {
  return new RegExp("(".repeat(100_000) + ")".repeat(100_000));
}
