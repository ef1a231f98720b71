// A top level whose value is a BigInt.
// expect: succeeded
// output: 1
function process() { return 1; }
2n ** 100n;
