// The same, with nothing that says who made it.
// expect: threw
// error: RangeError: Array buffer allocation failed
function process() {
  const error = new RangeError("Array buffer allocation failed");
  error.stack = "RangeError: Array buffer allocation failed";
  throw error;
}
