// The clock that runs, by every way to a constructor.
// expect: succeeded
// output: [1700000000000,1700000000000,1700000000000,1700000000000,1700000000000,1700000000000]
function process() {
  const Other = function () {};
  Other.prototype = null;
  return [
    new Date().getTime(),
    new (new Date().constructor)().getTime(),
    new (Object.getPrototypeOf(new Date()).constructor)().getTime(),
    Reflect.construct(Date, [], Other).getTime(),
    new (class extends Date {})().getTime(),
    Temporal.Now.instant().epochMilliseconds,
  ];
}
