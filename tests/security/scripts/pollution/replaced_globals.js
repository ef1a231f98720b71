// Other values under the names of everything.
// expect: succeeded
// output: {"still":"right"}
function process() {
  for (const name of ["JSON", "Reflect", "Object", "Array", "String", "Error", "Promise", "Symbol",
    "Proxy", "Date", "Math", "RegExp", "WeakMap", "Uint16Array", "Uint32Array", "Function"]) {
    globalThis[name] = () => { throw new TypeError(name); };
  }
  return { still: "right" };
}
