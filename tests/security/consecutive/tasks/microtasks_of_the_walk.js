// Makes microtasks while the platform walks its result, after its output is complete.
// output: ["undefined","undefined"]
// console: [["log","mine"]]
function process() {
  let left = 1_000;
  const later = () => {
    globalThis.late = 1;
    console.log("late");
    if (left-- > 0) Promise.resolve().then(later);
  };
  const traps = {
    getPrototypeOf() { later(); return null; },
    ownKeys(target) { later(); return Reflect.ownKeys(target); },
  };
  globalThis.late = 0;
  setTimeout(later, 1);
  return { lost: new Proxy({}, traps), also: [new Map()] };
}
// ---- second
async function process() {
  await null;
  console.log("mine");
  await null;
  return [typeof late, typeof later];
}
