// A cause that throws when it is looked at, and one that is a proxy that always does.
// expect: threw
// error: Error: outer
function process() {
  const never = new Proxy({}, { get() { throw 1; }, getPrototypeOf() { throw 2; } });
  const inner = new Error("inner", { cause: never });
  const error = new Error("outer", { cause: inner });
  Object.defineProperty(inner, "message", { get() { throw never; } });
  throw error;
}
