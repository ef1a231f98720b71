// Makes every value write itself as something else, and makes every parser lie.
// output: {"list":[1,"text"],"parsed":{"a":1}}
function process() {
  for (const maker of [Object, Array, String, Number, Boolean, BigInt, Date]) {
    maker.prototype.toJSON = () => "left";
  }
  JSON.parse = () => "left";
  JSON.stringify = () => '"left"';
  return 1;
}
// ---- second
const process = () => ({ list: [1, "text"], parsed: JSON.parse('{"a":1}') });
