// Recursion through `JSON.stringify`.
// expect: threw
// error: RangeError: Maximum call stack size exceeded
function process() {
  const endless = { toJSON: () => JSON.stringify(endless) };
  return JSON.stringify(endless);
}
