// `process` is a promise of a function.
// expect: threw
// error: TypeError: process is not a function
const process = Promise.resolve(() => 1);
