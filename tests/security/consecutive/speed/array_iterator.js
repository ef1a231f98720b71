// Makes iteration of lists slow for all realms of its isolate.
// cell: retired
// output: [1,2]
function process() {
  const iterate = Array.prototype[Symbol.iterator];
  Array.prototype[Symbol.iterator] = function () { return iterate.call(this.concat("left")); };
  return 1;
}
// ---- second
const process = () => [...[1, 2]];
