// Looks for the memory between harness and cell, where typed arrays are used.
// expect: succeeded
// output: 0
// console: [["log", "quiet"]]
function process() {
  let seen = 0;
  const typed = Object.getPrototypeOf(Uint8Array.prototype);
  const spy = { get() { seen++; }, set() { seen++; }, configurable: true };
  for (const name of ["buffer", "length", "byteLength", "0", "1", "2", "3"]) {
    for (const object of [typed, Uint32Array.prototype, Uint16Array.prototype, Object.prototype]) {
      try { Object.defineProperty(object, name, spy); } catch {}
    }
  }
  console.log("quiet");
  for (const name of ["0", "1", "2", "3", "length"]) delete Object.prototype[name];
  return seen;
}
