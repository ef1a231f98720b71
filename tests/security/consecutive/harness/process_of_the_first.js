// Leaves a `process` for a script that has none.
// second: threw
function process() { return "left"; }
globalThis.process = Object.prototype.process = process;
// ---- second
const other = 1;
