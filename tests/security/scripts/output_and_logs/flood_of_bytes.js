// Long lines until there is no more room.
// expect: succeeded
// limits: console_bytes=40 console_line_bytes=20
// output: 1
// console: [["log", "xxxxxxxxxxxxxxxxxxxx"], ["log", "xxxxxxxxxxxxxxxxx…"]]
// dropped: 1
function process() {
  console.log("x".repeat(20));
  console.log("x".repeat(21));
  console.log("x".repeat(20));
  return 1;
}
