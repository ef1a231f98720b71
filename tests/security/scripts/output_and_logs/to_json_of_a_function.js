// A `toJSON` that gives a function.
// expect: invalid_result
// says: toJSON
function process() {
  return { toJSON: () => process };
}
