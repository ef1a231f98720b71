// Makes `map`, `slice` and `concat` slow for all realms of its isolate.
// cell: retired
// output: [[2,3],true]
function process() {
  Array.prototype.constructor = { [Symbol.species]: function () { return { left: 1 }; } };
  return 1;
}
// ---- second
const process = () => [[1, 2].map((x) => x + 1), Array.isArray([1].slice())];
