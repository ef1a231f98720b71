// Declares what the harness calls its own.
// expect: succeeded
// output: {"apply":1}
const apply = 1, parse = 2, stringify = 3, freeze = 4, head = 5, units = 6, ring = 7;
let phase = 8, output = 9, failure = 10, input = 11, now = 12, run = 13, read = 14;
var slice = 15, call = 16, isArray = 17, charCodeAt = 18;
function process() {
  return { apply };
}
