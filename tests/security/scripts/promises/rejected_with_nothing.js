// Rejects with `undefined`.
// expect: threw
// error: undefined: undefined
function process() {
  return Promise.reject();
}
