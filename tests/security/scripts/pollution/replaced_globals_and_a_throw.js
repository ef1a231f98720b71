// The same, and then an error to be described.
// expect: threw
// error: TypeError: mine
// place: 8:9
function process() {
  const Mine = TypeError;
  for (const name of ["JSON", "Reflect", "Object", "Array", "String", "Error", "RegExp", "WeakMap"]) globalThis[name] = null;
  throw new Mine("mine");
}
