// Regular expressions match what they like.
// expect: invalid_result
// says: result["not a name"]
function process() {
  RegExp.prototype.exec = () => ["matched"];
  RegExp.prototype.test = () => true;
  RegExp.prototype[Symbol.match] = RegExp.prototype[Symbol.replace] = () => "matched";
  return { "not a name": 1n };
}
