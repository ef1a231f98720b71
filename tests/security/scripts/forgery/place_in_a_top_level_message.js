// A message that looks like V8's report of another error, elsewhere.
// expect: threw
// known: the place is read from a text that holds the message
// error: Error
// place: 5:7
throw new Error("x\nreturn 1\n      ^\nTypeError: y\n    at process.js:99:99");
