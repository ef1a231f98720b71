// Runs a function of the same source until it is optimised for what it saw.
// output: [3,"12",null,1.5]
const add = (a, b) => a + b;
const read = (object) => object.value;
function process() {
  const seen = [add(1, 2), add("1", "2"), read({ a: 1, value: null }), read({ value: 1.5 })];
  for (let i = 0; i < 50_000; i++) add(i, i), read({ value: i });
  Object.prototype.value = "left";
  Number.prototype.valueOf = () => 9;
  return seen.concat(read({}) === "left" && globalThis.again ? ["left"] : []) && (
    globalThis.again ? ["left"] : ((globalThis.again = true), seen));
}
