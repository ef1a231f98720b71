// The names of the platform's own exceptions.
// expect: threw
// error: DeadlineExceeded: timed_out
function process() {
  throw { name: "DeadlineExceeded", message: "timed_out" };
}
