// Freezes every object that can be reached, the global object included.
// output: [true,"mine","mine",1]
// cell: either
const { ownKeys, getOwnPropertyDescriptor, getPrototypeOf } = Reflect;
function process() {
  const seen = new Set(), left = [globalThis, [].values(), (function* () {})(), async () => {}];
  while (left.length > 0) {
    const object = left.pop();
    if ((typeof object !== "object" && typeof object !== "function") || object === null) continue;
    if (seen.has(object)) continue;
    seen.add(object);
    for (const key of ownKeys(object)) {
      const { value, get, set } = getOwnPropertyDescriptor(object, key);
      left.push(value, get, set);
    }
    left.push(getPrototypeOf(object));
  }
  let frozen = 0;
  for (const object of seen) {
    try { Object.freeze(object); frozen++; } catch { /* a typed array with elements */ }
  }
  return frozen > 1000;
}
// ---- second
function process() {
  globalThis.mine = 1;
  Array.prototype.mine = "mine";
  Object.getPrototypeOf([].values()).mine = "mine";
  return [Object.isExtensible(globalThis), [].mine, [].values().mine, globalThis.mine];
}
