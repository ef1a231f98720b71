// A script is no function.
// expect: threw
// error: SyntaxError: Illegal return statement
return 1;
