// `process` that only the global object's prototype has.
// expect: succeeded
// output: "inherited"
Object.prototype.process = () => "inherited";
