// Makes `replace` and `split` with texts slow for all realms of its isolate.
// cell: retired
// output: ["b",["1","2"]]
// unseen: a text as the pattern is not asked for a method
function process() {
  for (const prototype of [Number.prototype, String.prototype, Object.prototype]) {
    for (const name of ["replace", "split", "match", "search", "matchAll"]) {
      prototype[Symbol[name]] = () => "left";
    }
  }
  return 1;
}
// ---- second
const process = () => ["a".replace("a", "b"), "1,2".split(",")];
