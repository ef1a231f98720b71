// A result that holds itself.
// expect: invalid_result
// says: circular
function process() {
  const a = {};
  a.a = [a];
  return a;
}
