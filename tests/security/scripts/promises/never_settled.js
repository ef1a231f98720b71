// Nothing can settle it.
// expect: unsettled_promise
function process() {
  return new Promise(() => {});
}
