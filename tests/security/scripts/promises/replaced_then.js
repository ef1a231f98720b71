// `then` of every promise is somebody else's.
// expect: succeeded
// output: {"a":1}
async function process() {
  Promise.prototype.then = function (resolve) { resolve("stolen"); };
  Promise.prototype.catch = Promise.prototype.finally = Promise.prototype.then;
  return { a: 1 };
}
