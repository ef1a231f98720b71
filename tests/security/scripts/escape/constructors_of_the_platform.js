// The platform's functions as constructors, with a target of one's own.
// expect: succeeded
// output: ["TypeError","TypeError","TypeError","TypeError"]
function process() {
  const theirs = [Math.random, Date.now, console.log, Temporal.Now.instant];
  return theirs.map((one) => {
    try { return typeof Reflect.construct(one, []); } catch (error) { return error.name; }
  });
}
