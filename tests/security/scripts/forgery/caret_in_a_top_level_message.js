// The same, with the report's first line.
// expect: threw
// place: 4:1
throw new Error("process.js:3: TypeError: y\nlet a = 1\n^^^^\nTypeError: y\n    at process.js:3:1");
