// What is no object settles nevertheless.
// expect: succeeded
// output: 7
async function process() {
  Object.prototype.then = Function.prototype.then = function () {};
  return 7;
}
