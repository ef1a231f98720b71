// Recursion before `process` is known.
// expect: threw
// error: RangeError: Maximum call stack size exceeded
const dive = () => dive() + 1;
dive();
const process = () => 1;
