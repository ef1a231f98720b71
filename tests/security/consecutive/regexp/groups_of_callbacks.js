// Marks the groups that callbacks of `replace` receive for a long property name.
// output: ["undefined","a"]
// unseen: V8's cache of results, the isolate's, is turned off
function process() {
  const names = {};
  names["a".repeat(5000)] = 1;
  Object.keys(names)[0].replace(/(?<x>a)/g, (...args) => {
    const groups = args.at(-1);
    groups.mark = "a secret";
    groups.x = "b";
    return "";
  });
  return "marked";
}
// ---- second
function process() {
  const names = {};
  names["a".repeat(5000)] = 1;
  let seen;
  Object.keys(names)[0].replace(/(?<x>a)/g, (...args) => {
    const groups = args.at(-1);
    seen ??= [typeof groups.mark, groups.x];
    return "";
  });
  return seen;
}
