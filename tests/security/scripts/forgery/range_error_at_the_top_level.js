// The same, before `process` is known.
// expect: threw
// known: a refused allocation is told by its text
// error: RangeError: Array buffer allocation failed
throw new RangeError("Array buffer allocation failed");
