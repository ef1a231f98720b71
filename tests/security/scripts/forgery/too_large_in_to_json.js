// Throws, while the result is written, what V8 throws when it becomes too long.
// expect: threw
// error: RangeError: Invalid string length
function process() {
  return {
    toJSON() {
      const error = new RangeError("Invalid string length");
      error.stack = "";
      throw error;
    },
  };
}
