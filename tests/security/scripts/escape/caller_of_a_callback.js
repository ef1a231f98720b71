// Who calls the methods that the platform has to call.
// expect: succeeded
// output: {"value":[null,null]}
function process() {
  const seen = [];
  function toJSON() { seen.push(toJSON.caller); return seen; }
  function then(resolve) { seen.push(then.caller); delete result.then; resolve(result); }
  const result = { value: { toJSON } };
  Object.defineProperty(result, "then", { value: then, configurable: true });
  return result;
}
