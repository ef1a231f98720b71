// A template that swallows what the platform appends.
// expect: threw
// error: SyntaxError
function process() { return 1; }
const rest = `
