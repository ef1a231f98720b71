// The limit of frames is a getter, which runs whenever an error is made.
// expect: threw
// error: TypeError
function process() {
  try {
    Object.defineProperty(Error, "stackTraceLimit", { get() { throw new RangeError("Invalid string length"); } });
  } catch {}
  return null.property;
}
