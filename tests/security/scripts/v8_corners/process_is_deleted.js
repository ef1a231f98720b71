// `process` takes itself away.
// expect: succeeded
// output: "undefined"
globalThis.process = () => { delete globalThis.process; return typeof process; };
