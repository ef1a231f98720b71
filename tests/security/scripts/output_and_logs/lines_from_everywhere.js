// Lines in getters, `toJSON`, thenables and microtasks, in their order.
// expect: succeeded
// output: {"a":1}
// console: [["log", "top"], ["log", "micro"], ["log", "then"], ["log", "getter"], ["log", "json"]]
console.log("top");
Promise.resolve().then(() => console.log("micro"));
function process() {
  return {
    then(resolve) {
      console.log("then");
      resolve({ get a() { console.log("getter"); return { toJSON() { console.log("json"); return 1; } }; } });
    },
  };
}
