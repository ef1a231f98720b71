// The same, before `process` is known.
// expect: threw
// error: RangeError: Array buffer allocation failed
throw new RangeError("Array buffer allocation failed");
