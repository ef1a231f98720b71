// An error whose stack has frames of the platform only.
// expect: threw
// known: whether V8 made an error is read from a stack that can be taken again
// error: RangeError: Array buffer allocation failed
function process() {
  const error = new RangeError("Array buffer allocation failed");
  Error.captureStackTrace(error, process);
  throw error;
}
