// A comment that swallows what the platform appends.
// expect: threw
// error: SyntaxError
function process() { return 1; }
/*
