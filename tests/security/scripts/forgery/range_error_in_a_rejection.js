// The same, a moment later.
// expect: threw
// known: a refused allocation is told by its text
// error: RangeError: Array buffer allocation failed
async function process() {
  await null;
  throw new RangeError("Array buffer allocation failed");
}
