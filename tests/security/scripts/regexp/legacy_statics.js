// What the last match leaves on the constructor is the script's own.
// expect: succeeded
// output: ["",""]
function process() {
  return [RegExp.lastMatch, RegExp.$1];
}
