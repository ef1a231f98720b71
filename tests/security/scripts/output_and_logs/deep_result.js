// A hundred thousand levels are a result like any other.
// expect: succeeded
// output: true
function process() {
  let deep = 1;
  for (let i = 0; i < 40_000; i++) deep = [deep];
  return JSON.stringify(deep).length === 80_001;
}
