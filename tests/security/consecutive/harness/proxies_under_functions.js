// Puts proxies under the prototypes of functions and errors, which see every missing member.
// output: [null,null,"undefined"]
function process() {
  globalThis.missing = [];
  const spy = new Proxy({ __proto__: null }, {
    get(target, key) { missing.push(key); return "left"; },
    has(target, key) { missing.push(key); return true; },
    getPrototypeOf() { missing.push("prototype"); return null; },
  });
  for (const maker of [Function, Error, Map, Promise, Date, RegExp, Uint8Array]) {
    Object.setPrototypeOf(maker.prototype, spy);
  }
  return 1;
}
// ---- second
function process() {
  return [new Error("x").absent ?? null, process.absent ?? null, typeof missing];
}
