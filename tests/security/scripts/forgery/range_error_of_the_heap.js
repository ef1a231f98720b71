// The same with other words for it.
// expect: threw
// error: RangeError: could not allocate memory
function process() {
  throw new RangeError("could not allocate memory");
}
