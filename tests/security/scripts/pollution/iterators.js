// Iteration is somebody else's.
// expect: succeeded
// output: [1,[2]]
// console: [["log", "1 2"]]
function process() {
  const evil = () => { throw new Error("poisoned"); };
  Array.prototype[Symbol.iterator] = String.prototype[Symbol.iterator] = evil;
  Object.getPrototypeOf([].values?.() ?? {}).next = evil;
  console.log(1, 2);
  return [1, [2]];
}
