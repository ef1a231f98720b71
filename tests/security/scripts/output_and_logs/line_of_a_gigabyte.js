// A line whose text would not fit into a text.
// expect: succeeded
// limits: console_line_bytes=9
// output: 1
// console: [["log", "xxxxxx…"]]
function process() {
  const half = "x".repeat(2 ** 28);
  console.log(half, half, half);
  return 1;
}
