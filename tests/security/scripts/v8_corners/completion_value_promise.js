// A top level whose value is a promise that rejects.
// expect: succeeded
// output: 1
function process() { return 1; }
Promise.reject(new Error("unheard"));
