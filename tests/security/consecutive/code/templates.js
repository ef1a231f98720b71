// Remembers the template object of the same source, whose identity belongs to its place.
// output: [true,true,null,"unknown"]
const tag = (strings) => strings;
const template = () => tag`left ${1} right`;
globalThis.known ??= new WeakMap();
function process() {
  const strings = template();
  const seen = [
    strings === template(), Object.isFrozen(strings.raw), strings.mark ?? null,
    known.get(strings) ?? "unknown",
  ];
  Reflect.set(strings, "mark", "left");
  Object.getPrototypeOf(strings).mark = "left";
  known.set(strings, "left");
  return seen;
}
