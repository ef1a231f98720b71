// Endless recursion through `async`.
// expect: threw
// error: RangeError: Maximum call stack size exceeded
async function process() {
  return await process();
}
