// Makes iteration of sets slow for all realms of its isolate.
// cell: retired
// output: [1,2]
function process() {
  Object.getPrototypeOf(new Set().values()).next = () => ({ done: true });
  return 1;
}
// ---- second
const process = () => [...new Set([1, 2])];
