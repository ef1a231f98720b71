// The same for a result that is too long.
// expect: threw
// error: RangeError: Invalid string length
function process() {
  const error = new RangeError("Invalid string length");
  Error.captureStackTrace(error, process);
  return { toJSON() { throw error; } };
}
