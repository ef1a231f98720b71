// Calls itself by the harness's name.
// expect: threw
// error: Error: whose
// place: 6:9
function process() {
  throw new Error("whose");
}
//# sourceURL=harness.js
