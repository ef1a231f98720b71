// A subclass whose species makes promises of another kind.
// expect: succeeded
// output: [2]
function process() {
  class Mine extends Promise {
    static get [Symbol.species]() { return function (run) { run(() => {}, () => {}); }; }
    then(resolve) { resolve([2]); }
  }
  return new Mine(() => {});
}
