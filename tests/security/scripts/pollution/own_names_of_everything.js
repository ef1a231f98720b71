// Every method of every class is replaced by one that throws.
// expect: succeeded
// output: {"a":[1,"x"]}
// console: [["warn", "[1]"]]
const evil = () => { throw new Error("poisoned"); };
function process() {
  const { ownKeys, defineProperty, getOwnPropertyDescriptor } = Reflect;
  const globals = ownKeys(globalThis);
  for (let i = 0; i < globals.length; i++) {
    const holder = getOwnPropertyDescriptor(globalThis, globals[i]).value;
    if (holder === globalThis) continue;
    if (typeof holder !== "function" && typeof holder !== "object") continue;
    const both = [holder, holder.prototype];
    for (let j = 0; j < 2; j++) {
      if (both[j] === undefined || both[j] === console) continue;
      const names = ownKeys(both[j]);
      for (let k = 0; k < names.length; k++) {
        if (names[k] === "prototype" || names[k] === "constructor" || names[k] === "toJSON") continue;
        try { defineProperty(both[j], names[k], { value: evil, configurable: true }); } catch {}
      }
    }
  }
  console.warn([1]);
  return { a: [1, "x"] };
}
