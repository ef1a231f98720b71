// Makes `Promise.all` slow for all realms of its isolate.
// cell: retired
// output: [1,2]
function process() {
  const { resolve } = Promise;
  Promise.resolve = function () { return resolve.call(this, "left"); };
  return 1;
}
// ---- second
const process = () => Promise.all([1, 2]);
