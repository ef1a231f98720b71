// A payload whose keys are those of prototypes is data.
// expect: succeeded
// input: {"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}
// output: [false,true,{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}]
function process(data) {
  return ["polluted" in {}, Object.hasOwn(data, "__proto__"), data];
}
