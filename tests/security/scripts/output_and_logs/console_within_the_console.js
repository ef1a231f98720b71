// A line that prints lines while it is made.
// expect: succeeded
// output: 1
// console: [["log", "inner"], ["log", "\"outer\""]]
function process() {
  console.log({ toJSON() { console.log("inner"); return "outer"; } });
  return 1;
}
