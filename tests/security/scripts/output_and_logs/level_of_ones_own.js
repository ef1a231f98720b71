// Levels are the console's, whatever is passed.
// expect: succeeded
// output: 1
// console: [["error", "critical x"], ["debug", "trace"]]
function process() {
  console.error("critical", { toJSON: () => undefined, toString: () => "y", get [Symbol.toStringTag]() { return "z"; } } && "x");
  console.trace("trace");
  return 1;
}
