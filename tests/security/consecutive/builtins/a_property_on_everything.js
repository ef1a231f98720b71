// Marks every object that can be reached: globals, prototypes, iterators, getters, formatters.
// output: {"many":true,"marked":0}
const start = () => [
  globalThis, [].values(), new Map().entries(), new Set().values(), ""[Symbol.iterator](),
  "".matchAll(/a/g), (function* () {})(), (async function* () {})(), async () => {}, function* () {},
  async function* () {}, Iterator.from({ next() {} }), [].values().map((x) => x), new Error("x"),
  [].values().filter(Boolean), (function () { "use strict"; return arguments; })(), new URL("a:b"),
  new Intl.Segmenter().segment("a")[Symbol.iterator](), Promise.withResolvers(), new TextDecoder(),
  Proxy.revocable({}, {}), Object.getOwnPropertyDescriptor(new Error("x"), "stack"), Symbol(), 1n,
  "text", 1, true, new DOMException("x"), structuredClone,
];
const reach = () => {
  const seen = new Set(), left = start();
  while (left.length > 0) {
    const value = left.pop();
    if (value === null || value === undefined) continue;
    // A primitive has a wrapper of its own each time.
    const object = Object(value) === value ? value : Reflect.getPrototypeOf(Object(value));
    if (seen.has(object)) continue;
    seen.add(object);
    for (const key of Reflect.ownKeys(object)) {
      const { value: held, get, set } = Reflect.getOwnPropertyDescriptor(object, key);
      left.push(held, get, set);
    }
    left.push(Reflect.getPrototypeOf(object));
  }
  return seen;
};
function process(turn) {
  const all = reach();
  let marked = 0;
  for (const object of all) if (Object.hasOwn(object, "marked by another")) marked++;
  if (turn === 1) {
    for (const object of all) {
      Reflect.defineProperty(object, "marked by another", { value: 1, configurable: true });
    }
  }
  return { many: all.size > 1000, marked };
}
