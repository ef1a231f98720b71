// `process` is a long text.
// expect: threw
// error: TypeError: process is not a function
var process = "x".repeat(1_000_000);
