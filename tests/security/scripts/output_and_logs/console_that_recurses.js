// Lines that print lines that print lines.
// expect: succeeded
// limits: console_lines=0
// output: 1
// dropped: 1
function process() {
  const endless = { toJSON() { console.log(endless); } };
  console.log(endless);
  return 1;
}
