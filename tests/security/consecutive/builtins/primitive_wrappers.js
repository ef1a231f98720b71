// Adds methods to numbers, texts, symbols, bigints and functions.
// output: [null,null,null,null,null,null,"undefined"]
function process() {
  for (const maker of [Number, String, Boolean, Symbol, BigInt, Function]) {
    maker.prototype.left = "secret";
    maker.left = "secret";
  }
  Object.prototype.toJSON = undefined;
  globalThis.left = "secret";
  return 1;
}
// ---- second
function process() {
  return [
    ...[1, "x", true, Symbol(), 1n, () => 1].map((value) => value.left ?? null), typeof left,
  ];
}
