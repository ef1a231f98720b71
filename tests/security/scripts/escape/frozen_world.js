// Everything that can be frozen is frozen.
// expect: succeeded
// output: {"a":[1]}
// console: [["log", "{\"a\":[1]}"]]
const seen = new Set();
const freezeAll = (value) => {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return;
  if (seen.has(value)) return;
  seen.add(value);
  for (const key of Reflect.ownKeys(value)) {
    const { value: inner, get, set } = Reflect.getOwnPropertyDescriptor(value, key);
    [inner, get, set].forEach(freezeAll);
  }
  freezeAll(Reflect.getPrototypeOf(value));
  if (value !== globalThis) Object.freeze(value);
};
function process() {
  freezeAll(globalThis);
  console.log({ a: [1] });
  return { a: [1] };
}
