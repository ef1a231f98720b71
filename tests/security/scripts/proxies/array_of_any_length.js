// An array that says how long it is, each time another length.
// expect: succeeded
// output: [0,1,2]
function process() {
  let length = 2;
  return new Proxy([], { get: (_, key) => (key === "length" ? ++length : key === "toJSON" ? undefined : Number(key)) });
}
