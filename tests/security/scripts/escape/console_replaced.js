// A console of one's own is one's own business; the real one cannot be changed.
// expect: succeeded
// output: true
// console: [["log", "real"]]
function process() {
  const real = console;
  real.log = () => { throw 1; };
  globalThis.console = { log() { throw 2; } };
  real.log("real");
  return Object.isFrozen(real);
}
