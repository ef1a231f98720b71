// An error whose stack has frames of the platform only.
// expect: threw
// error: RangeError: Array buffer allocation failed
function process() {
  const error = new RangeError("Array buffer allocation failed");
  Error.captureStackTrace(error, process);
  throw error;
}
