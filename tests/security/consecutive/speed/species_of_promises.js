// Makes `then` slow for all realms of its isolate.
// cell: retired
// output: 3
function process() {
  Object.defineProperty(Promise, Symbol.species, { get: () => function () { return "left"; } });
  return 1;
}
// ---- second
const process = () => Promise.resolve(1).then((x) => x + 2);
