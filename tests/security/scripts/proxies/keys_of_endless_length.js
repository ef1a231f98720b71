// A list of keys that says it is long.
// expect: invalid_result
// says: Invalid array length
function process() {
  return new Proxy({}, { ownKeys: () => ({ length: 2 ** 53 - 1 }) });
}
