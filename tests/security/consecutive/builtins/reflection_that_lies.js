// Replaces Reflect and Proxy, with which the platform itself works.
// output: {"keys":["a"],"trapped":["get a"],"made":"1970-01-01T00:00:00.000Z"}
function process() {
  for (const key of Object.getOwnPropertyNames(Reflect)) Reflect[key] = () => "left";
  for (const key of Object.getOwnPropertyNames(Object)) {
    if (key !== "prototype" && key !== "length" && key !== "name") Object[key] = () => "left";
  }
  globalThis.Proxy = function () { return "left"; };
  globalThis.Reflect = { construct: () => "left", apply: () => "left" };
  return 1;
}
// ---- second
function process() {
  const trapped = [];
  const proxy = new Proxy({ a: 1 }, {
    get(target, key) { trapped.push(`get ${key}`); return Reflect.get(target, key); },
  });
  proxy.a;
  return { keys: Reflect.ownKeys({ a: 1 }), trapped, made: Reflect.construct(Date, [0]) };
}
