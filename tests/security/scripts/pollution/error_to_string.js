// How errors become texts is user code's.
// expect: threw
// error: Error: mine
// place: 8:9
function process() {
  Error.prototype.toString = () => { throw new Error("poisoned"); };
  Error.prototype[Symbol.toPrimitive] = Error.prototype.toString;
  throw new Error("mine");
}
