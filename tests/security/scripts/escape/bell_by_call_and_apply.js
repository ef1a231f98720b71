// Looks for the function that wakes the cell, where functions are called.
// expect: succeeded
// output: 0
// console: [["log", "quiet"]]
function process() {
  let seen = 0;
  const real = Function.prototype.call;
  const spy = () => { seen++; };
  Function.prototype.call = Function.prototype.apply = Reflect.apply = spy;
  try { Object.defineProperty(Function.prototype, "name", { get: spy }); } catch {}
  console.log("quiet");
  Function.prototype.call = real;
  return seen;
}
