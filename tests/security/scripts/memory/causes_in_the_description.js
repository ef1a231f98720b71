// Causes that are made while they are looked at.
// expect: threw
// error: Error: outer
function process() {
  class Endless extends Error { get cause() { return new Endless("inner"); } }
  throw Object.defineProperty(new Error("outer"), "cause", { get: () => new Endless("inner") });
}
