// What is dropped is counted.
// expect: succeeded
// limits: console_lines=2
// output: 100000
// console: [["log", "0"], ["log", "1"]]
// dropped: 99998
function process() {
  let n = 0;
  for (; n < 100_000; n++) console.log(n);
  return n;
}
