// Returns the number that the harness uses for failure.
// expect: succeeded
// output: -1
function process() {
  return -1;
}
