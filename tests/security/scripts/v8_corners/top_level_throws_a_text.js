// The top level throws a text of many lines.
// expect: threw
// place: 4:1
throw "a\nb\n^\n    at process.js:77:7";
