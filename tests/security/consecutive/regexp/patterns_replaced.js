// Replaces what `replace`, `split` and `match` call on an expression.
// output: ["x","a b",["a","b"],true,0]
function process() {
  RegExp.prototype.exec = () => ["left"];
  RegExp.prototype.test = () => false;
  RegExp.prototype[Symbol.replace] = () => "left";
  RegExp.prototype[Symbol.split] = () => ["left"];
  Object.defineProperty(RegExp.prototype, "flags", { get: () => "g" });
  return 1;
}
// ---- second
function process() {
  return [
    "y".replace(/y/, "x"), "a-b".replace(/-/, " "), "a,b".split(/,/), /a/.test("a"),
    "abc".search(/a/),
  ];
}
