// Weak maps tell what they are asked.
// expect: threw
// error: Error: kept
// place: 9:9
function process() {
  const seen = [];
  WeakMap.prototype.get = function (key) { seen.push(key); return { line: 1, column: 1 }; };
  WeakMap.prototype.set = WeakMap.prototype.has = WeakMap.prototype.get;
  throw new Error("kept");
}
