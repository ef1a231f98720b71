// Takes the prototype from every object that lets go of it.
// output: ["2,4","TypeError: x","x",true]
// cell: either
function process() {
  const { ownKeys, getOwnPropertyDescriptor, setPrototypeOf } = Reflect;
  const seen = new Set(), left = [globalThis];
  for (let at = 0; at < left.length; at++) {
    const object = left[at];
    if ((typeof object !== "object" && typeof object !== "function") || object === null) continue;
    if (seen.has(object)) continue;
    seen.add(object);
    const keys = ownKeys(object);
    for (let i = 0; i < keys.length; i++) {
      left[left.length] = getOwnPropertyDescriptor(object, keys[i]).value;
    }
  }
  for (let at = 0; at < left.length; at++) {
    if (Object(left[at]) === left[at]) setPrototypeOf(left[at], null);
  }
  return 1;
}
// ---- second
class Shout extends Array {}
function process() {
  return [
    Shout.from([1, 2]).map((x) => x * 2).join(), String(new TypeError("x")), new TypeError("x").message,
    new TypeError("x") instanceof Error,
  ];
}
