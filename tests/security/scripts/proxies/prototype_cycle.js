// Prototypes in a circle, through a proxy: the stack ends it.
// expect: threw
// error: RangeError: Maximum call stack size exceeded
function process() {
  const object = {};
  Object.setPrototypeOf(object, new Proxy(object, {}));
  return object.missing;
}
