// Compiles literals of the same source anew, as another expression.
// output: ["a","g",null]
const literal = () => /a/g;
function process() {
  const made = literal();
  const seen = [made.source, made.flags, made.mark ?? null];
  made.compile("left", "i");
  made.mark = "left";
  Object.getPrototypeOf(made).mark = "left";
  return seen;
}
