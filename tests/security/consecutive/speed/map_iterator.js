// Makes iteration of maps slow for all realms of its isolate.
// cell: retired
// output: [[1,2]]
function process() {
  Object.getPrototypeOf(new Map().entries()).next = () => ({ done: true });
  return 1;
}
// ---- second
const process = () => [...new Map([[1, 2]])];
