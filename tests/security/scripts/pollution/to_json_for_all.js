// `toJSON` on every object, which JSON.stringify itself asks for: the language has it so.
// expect: succeeded
// output: "everything"
function process() {
  Object.prototype.toJSON = () => "everything";
  return { a: 1 };
}
