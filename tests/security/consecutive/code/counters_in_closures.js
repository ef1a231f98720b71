// Counts in closures, statics, defaults and properties of functions, in the same source.
// output: [1,1,1,1,1,1]
let top = 0;
const closed = (() => { let n = 0; return () => ++n; })();
class Counter {
  static n = 0;
  static #secret = 0;
  static next() { return ++Counter.#secret; }
}
function own() { return (own.n = (own.n ?? 0) + 1); }
const kept = (list = kept.list ??= []) => list.push(1);
function process() {
  return [++top, closed(), ++Counter.n, Counter.next(), own(), kept()];
}
