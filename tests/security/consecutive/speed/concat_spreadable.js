// Makes `concat` slow for all realms of its isolate.
// cell: retired
// output: [1,2]
function process() {
  Array.prototype[Symbol.isConcatSpreadable] = false;
  return 1;
}
// ---- second
const process = () => [1].concat([2]);
