// Every object answers to every well-known symbol, with a throw.
// expect: succeeded
// output: [1]
// console: [["log", "[1]"]]
function process() {
  const names = Reflect.ownKeys(Symbol).filter((name) => typeof Symbol[name] === "symbol");
  for (const name of names) {
    if (name === "toPrimitive" || name === "hasInstance") continue;
    try {
      Object.defineProperty(Object.prototype, Symbol[name], { get() { throw new Error(name); } });
    } catch {}
  }
  console.log([1]);
  return [1];
}
