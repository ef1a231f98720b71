// A `toJSON` that gives nothing, for the whole result.
// expect: invalid_result
// says: toJSON
function process() {
  return { toJSON() {} };
}
