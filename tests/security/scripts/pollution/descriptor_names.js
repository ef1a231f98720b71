// What descriptors are made of is defined for every object.
// expect: succeeded
// output: {"a":1}
function process() {
  for (const name of ["value", "get", "set", "writable", "enumerable", "configurable"]) {
    Object.prototype[name] = () => { throw new Error("poisoned"); };
  }
  const error = new Error("x").stack;
  for (const name of ["value", "get", "set", "writable", "enumerable", "configurable"]) {
    delete Object.prototype[name];
  }
  return { a: 1 };
}
