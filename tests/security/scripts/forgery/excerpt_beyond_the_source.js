// A place that the source does not have.
// expect: threw
// error: Error: far away
function process() {
  const error = new Error("far away");
  error.stack = `Error: far away\n    at process (process.js:${"9".repeat(400)}:1)`;
  throw error;
}
