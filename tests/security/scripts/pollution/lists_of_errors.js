// Setters and `toJSON` of lists, while errors are gathered.
// expect: threw
// error: AggregateError: all
function process() {
  Array.prototype.toJSON = () => "forged";
  for (const index of ["0", "1"]) {
    Object.defineProperty(Array.prototype, index, { set() { throw new Error("set"); }, get: () => "got" });
  }
  throw new AggregateError([new Error("one"), new Error("two")], "all");
}
