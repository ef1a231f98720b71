// `process` is one of V8's own.
// expect: succeeded
// input: {"b":1,"a":2}
// output: ["b","a"]
const process = Object.keys;
