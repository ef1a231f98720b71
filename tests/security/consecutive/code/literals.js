// Changes every literal that the compiled code of the same source holds.
// output: [[1,2,3],[1.5,2.5],["a","b"],{"a":{"b":[1]}},[[1],[2]],"f"]
const integers = () => [1, 2, 3];
const doubles = () => [1.5, 2.5];
const texts = () => ["a", "b"];
const object = () => ({ a: { b: [1] } });
const nested = () => [[1], [2]];
const named = function f() {};
const seen = () => [integers(), doubles(), texts(), object(), nested(), named.name];
function process() {
  const before = seen();
  for (const make of [integers, doubles, texts, nested]) {
    for (const change of [
      (list) => list.reverse(), (list) => list.fill("left"), (list) => list.sort().shift(),
      (list) => { list.length = 0; }, (list) => list.copyWithin(0, 1), (list) => list.push(9),
      (list) => { list[0] = { left: 1 }; }, (list) => { delete list[0]; },
      (list) => Object.setPrototypeOf(list, { left: 1 }), (list) => Object.freeze(list),
    ]) change(make());
  }
  object().a.b.push("left");
  Object.assign(object().a, { left: 1 });
  nested()[0].push("left");
  Object.defineProperty(named, "name", { value: "left" });
  return before;
}
