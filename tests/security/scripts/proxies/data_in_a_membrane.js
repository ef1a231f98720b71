// The data in a membrane that makes up half of it.
// expect: succeeded
// input: {"a":{"b":1}}
// output: {"a":{"b":"seen 1"}}
function process(data) {
  const wrap = (value) => (typeof value === "object" && value !== null
    ? new Proxy(value, { get: (target, key) => (key === "toJSON" ? undefined : wrap(target[key])) })
    : `seen ${value}`);
  return wrap(data);
}
