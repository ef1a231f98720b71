// Changes the lists that V8 keeps as results of `split`, `match` and `replace` with a function.
// output: [["a","b","c"],["a","c"],["b","c"],"<a><b><c>"]
const text = "a,b,c";
function process() {
  const split = text.split(",");
  const matched = text.match(/[ac]/g);
  const cut = text.split(/a,|,/).slice(1);
  const replaced = text.replaceAll(/[abc],?/g, (part) => `<${part[0]}>`);
  const seen = [[...split], [...matched], cut, replaced];
  for (const list of [split, matched, text.split(","), text.match(/[ac]/g)]) {
    list.reverse();
    list[0] = "left";
    list.push("left");
    list.length = 1;
  }
  String.prototype.mark = 1;
  return seen.concat(Object.hasOwn(String.prototype, "seen") ? ["left"] : (() => {
    String.prototype.seen = 1;
    return [];
  })());
}
