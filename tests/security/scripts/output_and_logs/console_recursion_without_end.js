// The same with room for a line: the stack ends it.
// expect: succeeded
// limits: console_lines=1
// output: 1
// console: any
// dropped: some
function process() {
  const endless = { toJSON() { console.log(endless); } };
  console.log(endless);
  return 1;
}
