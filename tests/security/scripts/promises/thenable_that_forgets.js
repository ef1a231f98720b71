// A thenable that takes the callbacks and never calls them.
// expect: unsettled_promise
function process() {
  return { then() {} };
}
