// The same, with the report's first line.
// expect: threw
// known: the place is read from a text that holds the message
// place: 4:7
throw new Error("process.js:3: TypeError: y\nlet a = 1\n^^^^\nTypeError: y\n    at process.js:3:1");
