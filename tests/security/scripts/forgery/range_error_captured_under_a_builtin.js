// An error whose stack was taken again, where a builtin is on top.
// expect: threw
// known: whether V8 made an error is read from a stack that can be taken again
// error: RangeError: Array buffer allocation failed
function process() {
  const error = new RangeError("Array buffer allocation failed");
  [1].forEach(function hidden() { Error.captureStackTrace(error, hidden); });
  throw error;
}
