// Runs an expression up to the time limit, which V8 interrupts.
// first: timed_out
// limits: wall_ms=300
// cell: ends
// output: [true,""]
function process() { return /^(a+)+$/.test("a".repeat(60) + "b"); }
// ---- second
const process = () => [/^(a+)+$/.test("aaa"), RegExp.leftContext];
