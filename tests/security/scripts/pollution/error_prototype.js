// What an error inherits lies.
// expect: threw
// error: Forged: also forged
function process() {
  Object.defineProperty(Error.prototype, "name", { get: () => "Forged" });
  Object.defineProperty(Error.prototype, "message", { get: () => "also forged" });
  throw new Error();
}
