// Arrays, buffers and expressions make other things than themselves.
// expect: succeeded
// output: [1,2]
// console: [["log", "[1,2]"]]
function process() {
  const evil = { get() { throw new Error("poisoned"); } };
  for (const kind of [Array, ArrayBuffer, Map, Set, RegExp, Promise, Object.getPrototypeOf(Int8Array)]) {
    Object.defineProperty(kind, Symbol.species, evil);
  }
  console.log([1, 2]);
  return [1, 2];
}
