// Texts that no UTF-8 can hold, whole and cut.
// expect: succeeded
// limits: console_line_bytes=8
// output: 1
// console: [["log", "\ud800a\udc00"], ["log", "\ud83d\ude00…"]]
function process() {
  console.log("\ud800a\udc00");
  console.log("😀😀😀");
  return 1;
}
