// `process` is memory.
// expect: threw
// error: TypeError: process is not a function
const process = new ArrayBuffer(8);
