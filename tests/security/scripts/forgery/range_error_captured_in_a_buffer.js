// An error whose stack says that a buffer was being made, which is true.
// expect: threw
// error: RangeError: Array buffer allocation failed
function process() {
  const error = new RangeError("Array buffer allocation failed");
  new ArrayBuffer({ valueOf() { Error.captureStackTrace(error, this.valueOf); return 8; } });
  throw error;
}
