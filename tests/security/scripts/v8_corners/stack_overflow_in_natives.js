// Recursion through functions that are V8's own.
// expect: threw
// error: RangeError: Maximum call stack size exceeded
function process() {
  const recurse = () => [1].map(() => Reflect.apply(recurse, null, [1]));
  return recurse();
}
