// Throws what looks like an error of the compiler.
// expect: threw
// error: SyntaxError: Unexpected token '}'
// place: 5:1
throw new SyntaxError("Unexpected token '}'");
