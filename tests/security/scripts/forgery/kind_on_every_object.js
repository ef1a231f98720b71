// What the verdict's members are called is defined for every object.
// expect: invalid_result
// says: undefined
function process() {
  for (const name of ["kind", "error", "message", "allocation", "name", "line", "code"]) {
    Object.defineProperty(Object.prototype, name, {
      get: () => "succeeded", set() {}, configurable: true,
    });
  }
}
