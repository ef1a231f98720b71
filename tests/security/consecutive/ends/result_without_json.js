// Returns what has no JSON, after it has changed how everything is written.
// first: threw
// output: {"a":{"b":2}}
function process() {
  Object.prototype.toJSON = function () { throw new Error("secret"); };
  return { a: 1 };
}
// ---- second
const process = (data) => ({ a: { b: data } });
