// A top level whose value is a symbol.
// expect: succeeded
// output: 1
function process() { return 1; }
Symbol("value");
