// Deletes every property that can be deleted, of every object that can be reached.
// output: {"many":true,"works":"1,2,3"}
// cell: either
const { ownKeys, getOwnPropertyDescriptor, getPrototypeOf, deleteProperty } = Reflect;
const walk = () => {
  const seen = new Set(), left = [globalThis, [].values(), (function* () {})(), new URL("a:b")];
  let count = 0;
  for (let at = 0; at < left.length; at++) {
    const object = left[at];
    if ((typeof object !== "object" && typeof object !== "function") || object === null) continue;
    if (seen.has(object)) continue;
    seen.add(object);
    const keys = ownKeys(object);
    for (let i = 0; i < keys.length; i++) {
      const member = getOwnPropertyDescriptor(object, keys[i]);
      left[left.length] = member.value;
      left[left.length] = member.get;
      count++;
    }
    left[left.length] = getPrototypeOf(object);
  }
  return { left, count };
};
function process(turn) {
  const { left, count } = walk();
  if (turn === 2) return { many: count > 1500, works: [3, 1, 2].sort().join() };
  for (let at = 0; at < left.length; at++) {
    const object = left[at];
    if ((typeof object !== "object" && typeof object !== "function") || object === null) continue;
    const keys = ownKeys(object);
    for (let i = 0; i < keys.length; i++) deleteProperty(object, keys[i]);
  }
  return 1;
}
