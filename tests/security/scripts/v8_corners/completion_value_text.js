// A top level whose value is a long text.
// expect: succeeded
// output: 1
function process() { return 1; }
"x".repeat(1_000_000);
