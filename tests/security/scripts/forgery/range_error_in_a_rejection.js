// The same, a moment later.
// expect: threw
// error: RangeError: Array buffer allocation failed
async function process() {
  await null;
  throw new RangeError("Array buffer allocation failed");
}
