// A hook of one's own on a class of errors, and on the prototype of all.
// expect: succeeded
// output: ["string","string"]
function process() {
  class Mine extends Error { static prepareStackTrace(_, frames) { return frames; } }
  Function.prototype.prepareStackTrace = Object.prototype.prepareStackTrace = (_, frames) => frames;
  return [typeof new Mine("a").stack, typeof new TypeError("b").stack];
}
