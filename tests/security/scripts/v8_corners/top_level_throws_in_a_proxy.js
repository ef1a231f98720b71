// The top level throws an error that was made elsewhere and looks like a syntax error.
// expect: threw
// error: SyntaxError
let kept;
try { JSON.parse("{"); } catch (error) { kept = error; }
throw kept;
