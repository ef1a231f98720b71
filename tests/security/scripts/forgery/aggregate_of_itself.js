// An error of many errors, itself among them.
// expect: threw
// error: AggregateError: all
function process() {
  const error = new AggregateError([], "all");
  error.errors = [error, error];
  throw error;
}
