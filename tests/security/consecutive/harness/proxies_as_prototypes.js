// Puts proxies under prototypes, that of lists among them, which see every missing member.
// cell: retired
// output: [null,null,"undefined"]
function process() {
  globalThis.missing = [];
  const spy = new Proxy({ __proto__: null }, {
    get(target, key) { missing.push(key); return "left"; },
    has(target, key) { missing.push(key); return true; },
  });
  for (const prototype of [Array.prototype, Function.prototype, Error.prototype, Map.prototype]) {
    Object.setPrototypeOf(prototype, spy);
  }
  return 1;
}
// ---- second
function process() {
  return [[].absent ?? null, process.absent ?? null, typeof missing];
}
