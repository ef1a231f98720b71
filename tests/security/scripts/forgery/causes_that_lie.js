// A cause that is another each time it is looked at.
// expect: threw
// error: Error: outer
function process() {
  const liar = new Error("outer");
  Object.defineProperty(liar, "cause", { get: () => Object.assign(new Error("inner"), { cause: liar }) });
  throw liar;
}
