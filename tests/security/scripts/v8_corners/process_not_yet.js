// `process` is declared and never gets a value, as the top level throws.
// expect: threw
// error: ReferenceError
process();
let process = () => 1;
