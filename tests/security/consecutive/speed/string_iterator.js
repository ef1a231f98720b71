// Makes iteration of texts slow for all realms of its isolate.
// cell: retired
// output: ["a","b"]
function process() {
  Object.getPrototypeOf(""[Symbol.iterator]()).next = () => ({ done: true });
  return 1;
}
// ---- second
const process = () => [..."ab"];
