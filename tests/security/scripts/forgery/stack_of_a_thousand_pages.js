// An error with as many frames as the stack holds, each with a long name.
// expect: threw
// error: RangeError: Maximum call stack size exceeded
function process() {
  Error.stackTraceLimit = Infinity;
  const holder = { [`${"long".repeat(1_000)}`]() { return this[`${"long".repeat(1_000)}`](); } };
  return holder[`${"long".repeat(1_000)}`]();
}
