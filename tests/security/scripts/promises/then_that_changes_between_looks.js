// `then` is a function at the first look and none at the second.
// expect: succeeded
// output: {"looks":2}
function process() {
  let looks = 0;
  return Object.defineProperty({ get looks() { return looks; } }, "then", {
    get() { return looks++ === 0 ? () => {} : undefined; },
    enumerable: false,
  });
}
