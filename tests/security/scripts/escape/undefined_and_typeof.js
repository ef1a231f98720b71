// Shadows what the search for `process` relies on.
// expect: succeeded
// output: "found"
var undefined = 1;
var NaN = 2;
Object.defineProperty(Object.prototype, "process", { value: () => "prototype", configurable: true });
function process() { return "found"; }
