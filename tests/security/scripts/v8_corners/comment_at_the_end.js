// A last line without an end, with a slash too many.
// expect: succeeded
// output: 1
function process() { return 1; } //
