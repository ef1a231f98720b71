// `await` asks a promise for its constructor.
// expect: threw
// error: Error: poisoned
async function process() {
  Object.defineProperty(Promise.prototype, "constructor", {
    get() { throw new Error("poisoned"); },
  });
  return 1;
}
