// Replaces every method and every getter that can be reached by one of its own.
// output: {"many":true,"replaced":0,"works":["2,3","{\"a\":1}","a-b","b"]}
// cell: retired
const { ownKeys, getOwnPropertyDescriptor, getPrototypeOf, defineProperty } = Reflect;
const roots = [
  globalThis, [].values(), new Map().entries(), new Set().values(), ""[Symbol.iterator](),
  "".matchAll(/a/g), (function* () {})(), (async function* () {})(), async () => {},
  Iterator.from({ next() {} }), [].values().map((x) => x), new URL("a:b"), new TextDecoder(),
];
const replacement = function replaced() { return "left"; };
const members = () => {
  const seen = new Set(), left = [...roots], found = [];
  for (let at = 0; at < left.length; at++) {
    const object = left[at];
    if ((typeof object !== "object" && typeof object !== "function") || object === null) continue;
    if (seen.has(object)) continue;
    seen.add(object);
    const keys = ownKeys(object);
    for (let i = 0; i < keys.length; i++) {
      const member = getOwnPropertyDescriptor(object, keys[i]);
      found[found.length] = { object, key: keys[i], member };
      left[left.length] = member.value;
      left[left.length] = member.get;
    }
    left[left.length] = getPrototypeOf(object);
  }
  return found;
};
function process(turn) {
  const found = members();
  let replaced = 0;
  for (let i = 0; i < found.length; i++) {
    const { member } = found[i];
    if (member.value?.name === "replaced" || member.get?.name === "replaced") replaced++;
  }
  const many = found.length > 3000;
  const works = () => [
    [1, 2].map((x) => x + 1).join(), JSON.stringify({ a: 1 }), "a b".replace(" ", "-"),
    new Map([["a", "b"]]).get("a"),
  ];
  if (turn === 2) return { many, replaced: replaced - 0, works: works() };
  for (let i = 0; i < found.length; i++) {
    const { object, key, member } = found[i];
    if (key === "process" || key === "constructor" || key === "prototype") continue;
    if (typeof member.value === "function") {
      defineProperty(object, key, { __proto__: null, value: replacement });
    } else if (member.get !== undefined) {
      defineProperty(object, key, { __proto__: null, get: replacement });
    }
  }
  return 1;
}
