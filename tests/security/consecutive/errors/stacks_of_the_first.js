// Throws from functions with a secret in their names, so that they stand in the last stack.
// first: threw
// second: threw
const secret_name = () => { throw new Error("secret message", { cause: { secret: 1 } }); };
function process() {
  try { secret_name(); } catch (error) { globalThis.last = error; }
  Error.prototype.message = "secret";
  Error.prototype.cause = "secret";
  Error.prototype.name = "Secret";
  secret_name();
}
// ---- second
function process() {


  throw new Error();
}
