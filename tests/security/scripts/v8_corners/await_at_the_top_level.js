// A script is no module.
// expect: threw
// error: SyntaxError
await null;
function process() {}
