// An error whose stack was taken again, where a builtin is on top.
// expect: threw
// error: RangeError: Array buffer allocation failed
function process() {
  const error = new RangeError("Array buffer allocation failed");
  [1].forEach(function hidden() { Error.captureStackTrace(error, hidden); });
  throw error;
}
