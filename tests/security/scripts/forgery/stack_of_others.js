// A stack that names files of the platform.
// expect: threw
// error: Error: elsewhere
// place: none
function process() {
  const error = new Error("elsewhere");
  error.stack = "Error: elsewhere\n    at run (app/sandbox/cell.py:1:1)\n    at process.js:900:1";
  throw error;
}
