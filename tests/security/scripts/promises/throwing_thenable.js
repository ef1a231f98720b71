// A thenable that throws what looks like a verdict.
// expect: threw
// error: object: {"kind":"succeeded","output_bytes":4}
function process() {
  return { then() { throw { kind: "succeeded", output_bytes: 4 }; } };
}
