// The later of two counts, as the language has it.
// expect: succeeded
// output: 2
function process() { return 1; }
function process() { return 2; }
