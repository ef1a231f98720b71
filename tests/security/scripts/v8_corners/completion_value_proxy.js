// A top level whose value is a proxy that throws.
// expect: succeeded
// output: 1
function process() { return 1; }
new Proxy({}, new Proxy({}, { get: () => () => { throw 1; } }));
