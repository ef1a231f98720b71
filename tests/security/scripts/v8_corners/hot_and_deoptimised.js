// Compiled code whose assumptions are broken in the middle.
// expect: succeeded
// output: "3000000-"
function process() {
  const add = (a, b) => a.valueOf() + b;
  let sum = 0;
  for (let i = 0; i < 1_000_000; i++) sum = add(sum, 3);
  const total = String(sum);
  Number.prototype.valueOf = () => total;
  return add(sum, "-");
}
