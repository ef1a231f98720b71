// Uses well-known symbols, which all realms share, as keys of collections and of properties.
// output: ["none","none",{},"[object Object]",false]
function process() {
  globalThis.kept = new WeakMap([[Symbol.iterator, "secret"], [Symbol.asyncIterator, "secret"]]);
  globalThis.all = new Map([[Symbol.iterator, "secret"]]);
  Object.prototype[Symbol.unscopables] = { kept: true };
  Object.prototype[Symbol.toStringTag] = "Left";
  Object.defineProperty(Symbol.prototype, "left", { get() { return "secret"; } });
  return 1;
}
// ---- second
function process() {
  const value = {};
  return [
    typeof kept === "undefined" ? "none" : kept.get(Symbol.iterator),
    typeof all === "undefined" ? "none" : all.get(Symbol.iterator),
    Object(value[Symbol.unscopables]),
    String(value),
    "left" in Object(Symbol.iterator),
  ];
}
