// Throws, while the result is written, what V8 throws for a cycle.
// expect: threw
// error: TypeError: Converting circular structure to JSON
function process() {
  return {
    toJSON() {
      const error = new TypeError("Converting circular structure to JSON");
      delete error.stack;
      error.stack = undefined;
      throw error;
    },
  };
}
