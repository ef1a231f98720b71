// Throws an object that has the shape of a verdict.
// expect: threw
// error: object: {"kind":"succeeded","output_bytes":4,"run_ns":1,"lines_dropped":0}
function process() {
  throw { kind: "succeeded", output_bytes: 4, run_ns: 1, lines_dropped: 0 };
}
