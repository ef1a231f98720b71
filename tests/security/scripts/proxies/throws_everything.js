// A result that throws whatever is asked of it.
// expect: threw
// error: string: refused
function process() {
  return new Proxy({}, new Proxy({}, { get: () => () => { throw "refused"; } }));
}
