// No result.
// expect: invalid_result
// says: undefined
function process() {}
