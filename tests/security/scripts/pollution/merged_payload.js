// A careless merge pollutes its own isolate, and no other.
// expect: succeeded
// input: {"__proto__":{"admin":true}}
// output: true
function process(data) {
  const merge = (to, from) => {
    for (const key in from) {
      if (typeof from[key] === "object") merge((to[key] ??= {}), from[key]);
      else to[key] = from[key];
    }
  };
  merge({}, JSON.parse('{"__proto__":{"admin":true}}'));
  merge({}, data);
  return ({}).admin;
}
