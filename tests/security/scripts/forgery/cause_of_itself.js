// An error that is its own cause.
// expect: threw
// error: Error: chicken
function process() {
  const error = new Error("chicken");
  error.cause = error;
  throw error;
}
