// Puts a secret under symbols that every realm shares, on everything that has properties.
// output: {"registered":"left","values":[null,null,null,null],"own":0}
function process() {
  for (const holder of [globalThis, Object.prototype, Symbol.prototype, Function.prototype]) {
    holder[Symbol.for("left")] = "secret";
  }
  for (let i = 0; i < 10_000; i++) Symbol.for(`left ${i}`);
  return 1;
}
// ---- second
function process() {
  const key = Symbol.for("left");
  const own = [globalThis, Object.prototype, Symbol.prototype, Function.prototype]
    .filter((holder) => Object.getOwnPropertySymbols(holder).includes(key)).length;
  return {
    registered: Symbol.keyFor(key),
    values: [globalThis[key], {}[key], key[key], process[key]].map((value) => value ?? null),
    own,
  };
}
