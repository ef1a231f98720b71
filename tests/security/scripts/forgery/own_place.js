// Says itself where it was made.
// expect: threw
// error: Error: elsewhere
function process() {
  const error = new Error("elsewhere");
  error.line = error.lineNumber = 999;
  error.column = error.columnNumber = 999;
  error.fileName = "server.py";
  throw error;
}
