// Nothing that is an object can ever settle.
// expect: unsettled_promise
async function process() {
  Object.prototype.then = function () {};
  return { a: 1 };
}
