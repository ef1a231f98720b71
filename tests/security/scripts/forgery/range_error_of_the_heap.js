// The same with other words for it.
// expect: threw
// known: a refused allocation is told by its text
// error: RangeError: could not allocate memory
function process() {
  throw new RangeError("could not allocate memory");
}
