// Setters and getters on the indices of every object.
// expect: succeeded
// output: [1,[2],{"0":3}]
// console: [["log", "1 2"]]
function process() {
  const first = [1, [2], { 0: 3 }];
  for (const index of ["0", "1", "2", "3", "4"]) {
    for (const object of [Object.prototype, Array.prototype]) {
      Object.defineProperty(object, index, {
        get() { throw new Error("get"); }, set() { throw new Error("set"); },
      });
    }
  }
  console.log(1, 2);
  return first;
}
