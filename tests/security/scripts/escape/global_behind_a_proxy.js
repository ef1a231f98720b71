// A prototype chain of the global object that answers to every name.
// expect: succeeded
// output: "mine"
try {
  Object.setPrototypeOf(Object.getPrototypeOf(globalThis), new Proxy({}, { has: () => true, get: () => () => "proxy" }));
} catch {}
try {
  Object.setPrototypeOf(globalThis, new Proxy({}, { has: () => true, get: () => () => "proxy" }));
} catch {}
function process() { return "mine"; }
