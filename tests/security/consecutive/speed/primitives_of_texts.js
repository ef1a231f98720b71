// Makes the wrappers of texts slow for all realms of its isolate.
// cell: retired
// output: "mine!"
function process() {
  String.prototype.toString = () => "left";
  String.prototype.valueOf = () => "left";
  Object.prototype[Symbol.toPrimitive] = () => "left";
  return 1;
}
// ---- second
const process = () => new String("mine") + "!";
