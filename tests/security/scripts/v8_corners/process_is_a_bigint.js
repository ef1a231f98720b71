// `process` is a BigInt.
// expect: threw
// error: TypeError: process is not a function
const process = 10n;
