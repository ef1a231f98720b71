// A list of arguments that says it is long.
// expect: threw
// error: RangeError
function process() {
  return Math.max.apply(null, { length: 2 ** 32 });
}
