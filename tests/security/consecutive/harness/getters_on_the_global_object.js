// Watches every name that the second script uses, by getters on the global object.
// output: {"asked":"undefined","now":1700000000000}
function process() {
  globalThis.asked = [];
  for (const name of ["Date", "JSON", "Math", "Object", "data"]) {
    const value = globalThis[name];
    Object.defineProperty(globalThis, name, {
      configurable: true, get() { asked.push(name); return value; }, set() {},
    });
  }
  return 1;
}
// ---- second
function report() { return { asked: typeof asked, now: Date.now() }; }
function process() { return report(); }
