// The same for a result without JSON, with words of one's own.
// expect: threw
// error: TypeError: any words
function process() {
  const error = new TypeError("any words");
  Error.captureStackTrace(error, process);
  return { toJSON() { throw error; } };
}
