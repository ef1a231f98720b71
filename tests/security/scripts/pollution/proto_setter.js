// The setter that makes prototypes of data.
// expect: succeeded
// input: {"__proto__":{"a":1}}
// output: [0,{"__proto__":{"a":1}}]
let seen = 0;
Object.defineProperty(Object.prototype, "__proto__", { set() { seen++; }, get() { seen++; } });
const process = (data) => [seen, data];
