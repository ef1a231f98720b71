// Options that throw when they are read.
// expect: threw
// error: Error: poisoned
function process() {
  const options = new Proxy({}, { get() { throw new Error("poisoned"); } });
  return new Intl.DateTimeFormat("en", options).format(0);
}
