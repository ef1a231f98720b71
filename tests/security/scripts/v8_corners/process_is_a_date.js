// `process` is a date.
// expect: threw
// error: TypeError: process is not a function
const process = new Date(0);
