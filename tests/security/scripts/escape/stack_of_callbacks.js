// No stack names a file or function of the platform, wherever it is taken.
// expect: succeeded
// output: []
// console: [["log", "\"taken\""], ["log", "[object]"]]
function process() {
  const stacks = [new Error("direct").stack];
  const take = () => { stacks.push(new Error("taken").stack); return "taken"; };
  console.log({ toJSON: take });
  console.log({ get [Symbol.toStringTag]() { take(); throw 1; }, toJSON() { throw 1; } });
  const result = {
    toJSON() { take(); return stacks.filter((stack) => /harness|cell|native|anonymous>:/.test(stack)); },
  };
  return { then(resolve) { take(); resolve(result); } };
}
