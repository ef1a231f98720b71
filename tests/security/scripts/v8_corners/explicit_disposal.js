// A resource whose disposal throws, after the body threw.
// expect: threw
// error: SuppressedError
function process() {
  using thing = { [Symbol.dispose]() { throw new Error("late"); } };
  throw new Error("early");
}
