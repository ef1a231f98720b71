// An error that would be written as success.
// expect: threw
// error: Error: mine
function process() {
  const error = new Error("mine");
  error.toJSON = () => ({ kind: "succeeded" });
  Error.prototype.toJSON = Object.prototype.toJSON = error.toJSON;
  throw error;
}
