// Makes methods of typed arrays slow for all realms of its isolate.
// cell: retired
// output: [2,"Uint8Array"]
function process() {
  Object.defineProperty(Object.getPrototypeOf(Uint8Array), Symbol.species, { get: () => Float64Array });
  Uint8Array.prototype.constructor = { [Symbol.species]: Float64Array };
  return 1;
}
// ---- second
const process = () => {
  const part = new Uint8Array([1, 2, 3]).slice(1);
  return [part.length, part[Symbol.toStringTag]];
};
