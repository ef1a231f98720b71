// A thrown proxy that throws whatever is asked of it.
// expect: threw
// error: object: [object]
function process() {
  const refuse = () => { throw new Error("refused"); };
  throw new Proxy({}, new Proxy({}, { get: () => refuse }));
}
