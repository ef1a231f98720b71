// A chain of prototypes that grows as it is climbed: the stack ends it.
// expect: threw
// error: RangeError: Maximum call stack size exceeded
function process() {
  const chain = new Proxy({}, { getPrototypeOf: () => chain });
  return chain instanceof Array;
}
