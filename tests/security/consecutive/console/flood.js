// Writes more lines and longer ones than are kept.
// limits: console_lines=10
// output: 9
// console: [["log","0"],["log","1"],["log","2"],["log","3"],["log","4"],["log","5"],["log","6"],["log","7"],["log","8"],["log","9"]]
function process() {
  for (let i = 0; i < 2_000; i++) console.log("secret".repeat(i));
  return 1;
}
// ---- second
function process() {
  for (let i = 0; i < 10; i++) console.log(i);
  return 9;
}
