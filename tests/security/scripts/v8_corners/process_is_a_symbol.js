// `process` is a symbol.
// expect: threw
// error: TypeError: process is not a function
const process = Symbol("process");
