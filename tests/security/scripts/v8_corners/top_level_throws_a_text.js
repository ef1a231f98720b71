// The top level throws a text of many lines.
// expect: threw
// known: the place is read from a text that holds the message
// place: 4:1
throw "a\nb\n^\n    at process.js:77:7";
