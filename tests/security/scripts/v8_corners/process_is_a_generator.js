// `process` is a generator: its result is an object without anything of its own.
// expect: succeeded
// output: {}
function* process() { for (;;) yield 1; }
