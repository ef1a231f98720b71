// Changes prototypes that no name leads to: of generators, async iterators, helpers of iterators.
// output: [[1,2],[2],[1],["a","b"],[],["plain","plain","plain","plain","plain"]]
const hidden = () => {
  const up = Reflect.getPrototypeOf;
  return [
    up(up((function* () {})())), up(up((async function* () {})())), up([].values().map((x) => x)),
    up(Iterator.from({ next() {} })), up(new Intl.Segmenter().segment("a")),
  ];
};
function process(turn) {
  const marks = hidden().map((prototype) => prototype.mark ?? "plain");
  if (turn === 1) for (const prototype of hidden()) prototype.mark = "left";
  const generator = function* () { yield 1; yield 2; };
  return [
    [...generator()], [1, 2].values().filter((x) => x > 1).toArray(),
    Iterator.from([1]).toArray(), Array.from(new Intl.Segmenter().segment("ab"), (s) => s.segment),
    hidden().filter((prototype) => Object.isFrozen(prototype)), marks,
  ];
}
