// All four kinds of function have a constructor.
// expect: succeeded
// output: ["EvalError","EvalError","EvalError","EvalError"]
function process() {
  const kinds = [function () {}, async () => {}, function* () {}, async function* () {}];
  return kinds.map((kind) => {
    try { return typeof new kind.constructor("return 1"); } catch (error) { return error.name; }
  });
}
