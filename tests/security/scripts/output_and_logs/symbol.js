// A symbol as the whole result.
// expect: invalid_result
// says: a symbol
function process() {
  return Symbol("result");
}
