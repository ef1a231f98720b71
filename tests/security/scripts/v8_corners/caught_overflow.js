// An overflow that is caught is no failure.
// expect: succeeded
// output: "RangeError"
function process() {
  const dive = () => dive() + 1;
  try { return dive(); } catch (error) { return error.name; }
}
