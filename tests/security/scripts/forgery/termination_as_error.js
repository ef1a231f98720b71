// Throws what V8 shows for a terminated execution.
// expect: threw
// error: Error: JavaScript was terminated
function process() {
  throw new Error("JavaScript was terminated");
}
