// A top level whose value is a date out of range, and then one's own class of it.
// expect: succeeded
// output: 1
function process() { return 1; }
new (class extends Date { valueOf() { throw 1; } })(NaN);
