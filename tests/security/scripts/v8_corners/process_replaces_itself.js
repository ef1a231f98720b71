// `process` becomes another while it runs.
// expect: succeeded
// output: 1
function process() {
  process = () => 2;
  return 1;
}
