// The console's methods with a `this` of one's own.
// expect: succeeded
// output: 3
// console: [["log", "1"], ["log", "2"]]
function process() {
  console.log.call(null, 1);
  Reflect.apply(console.log, new Proxy({}, { get() { throw 1; } }), [2]);
  return 3;
}
