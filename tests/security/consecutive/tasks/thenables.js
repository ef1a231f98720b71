// Makes every object a thenable, and every promise call what the first defined.
// output: [1,"two",[3]]
// cell: retired
function process() {
  Object.defineProperty(Object.prototype, "then", {
    configurable: true,
    get() { globalThis.asked = (globalThis.asked ?? 0) + 1; return undefined; },
  });
  Promise.prototype.then = () => "left";
  Promise.resolve = () => "left";
  Promise.prototype.constructor = function () { return "left"; };
  return 1;
}
// ---- second
async function process() {
  const all = await Promise.all([1, Promise.resolve("two"), (async () => [3])()]);
  return typeof asked === "undefined" ? all : "left";
}
