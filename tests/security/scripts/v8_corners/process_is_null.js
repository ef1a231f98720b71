// `process` is null.
// expect: threw
// error: TypeError: process is not a function
const process = null;
