// Makes holes of lists slow for all realms of its isolate.
// cell: retired
// output: [null,null]
function process() {
  Array.prototype[3] = "left";
  Object.prototype[5] = "left";
  return 1;
}
// ---- second
const process = () => [[1, 2, 3][3] ?? null, new Array(9)[5] ?? null];
