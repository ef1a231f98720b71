// A message that looks like V8's report of another error, elsewhere.
// expect: threw
// error: Error
// place: 5:1
throw new Error("x\nreturn 1\n      ^\nTypeError: y\n    at process.js:99:99");
