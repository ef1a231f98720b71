// The same for a result that is too long.
// expect: threw
// known: whether V8 made an error is read from a stack that can be taken again
// error: RangeError: Invalid string length
function process() {
  const error = new RangeError("Invalid string length");
  Error.captureStackTrace(error, process);
  return { toJSON() { throw error; } };
}
