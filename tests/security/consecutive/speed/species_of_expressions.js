// Makes `split` and `matchAll` slow for all realms of its isolate.
// cell: retired
// output: ["a","b"]
function process() {
  Object.defineProperty(RegExp, Symbol.species, { get: () => function () { return /left/; } });
  RegExp.prototype.constructor = { [Symbol.species]: function () { return /left/; } };
  return 1;
}
// ---- second
const process = () => "a,b".split(/,/);
