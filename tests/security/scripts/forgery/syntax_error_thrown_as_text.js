// Throws a text in the form of the compiler's.
// expect: threw
// place: 4:1
throw "SyntaxError: Unexpected token\nprocess.js:1\n^";
