// An object that has everything of such an error but its kind.
// expect: threw
// error: RangeError: Array buffer allocation failed
function process() {
  throw { __proto__: RangeError.prototype, message: "Array buffer allocation failed" };
}
