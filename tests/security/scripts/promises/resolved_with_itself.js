// A promise may not be its own answer.
// expect: threw
// error: TypeError: Chaining cycle detected for promise #<Promise>
function process() {
  let resolve;
  const promise = new Promise((settle) => { resolve = settle; });
  resolve(promise);
  return promise;
}
