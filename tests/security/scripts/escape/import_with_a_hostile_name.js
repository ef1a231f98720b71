// A module whose name is worked out by user code.
// expect: succeeded
// output: "rejected"
function process() {
  const name = { toString() { throw new Error("no name"); } };
  return import(name).then(() => "found", () => "rejected");
}
