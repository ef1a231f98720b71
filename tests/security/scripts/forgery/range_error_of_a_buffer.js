// Throws what V8 throws when a buffer does not fit.
// expect: threw
// error: RangeError: Array buffer allocation failed
function process() {
  throw new RangeError("Array buffer allocation failed");
}
