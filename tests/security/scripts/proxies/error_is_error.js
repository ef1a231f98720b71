// What is an error and what only looks like one.
// expect: threw
// error: Forged: not one
function process() {
  const { isError } = Error;
  Error.isError = () => true;
  throw Object.create(Error.prototype, { name: { value: "Forged" }, message: { value: "not one" } });
}
