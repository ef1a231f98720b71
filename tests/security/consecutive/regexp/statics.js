// Leaves a secret in the static properties of RegExp, by every method that sets them.
// output: ["","","","","",""]
function process() {
  /(s)(ecret)/.exec("a secret text");
  "another secret".replace(/(sec)ret/, "x");
  "more secrets".split(/(c)/);
  "the secret".match(/(t)$/);
  RegExp.input = "secret input";
  return RegExp.$1;
}
// ---- second
const seen = [
  RegExp.$1, RegExp.$9, RegExp.lastMatch, RegExp.lastParen, RegExp.leftContext, RegExp.input,
];
const process = () => seen;
