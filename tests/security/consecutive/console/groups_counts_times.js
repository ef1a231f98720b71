// Opens groups, counts and starts times under the labels of the second.
// output: 1
// console: [["log","plain"],["log","default: 1"],["log","steps: 1"],["warn","Timer 'steps' does not exist"]]
function process() {
  for (let i = 0; i < 5; i++) { console.group("left"); console.count(); console.count("steps"); }
  console.time("steps");
  console.time();
  return 1;
}
// ---- second
function process() {
  console.log("plain");
  console.count();
  console.count("steps");
  console.timeEnd("steps");
  return 1;
}
