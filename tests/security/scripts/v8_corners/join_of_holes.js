// A text of four thousand million commas.
// expect: threw
// limits: memory_bytes=1073741824
// error: RangeError: Invalid string length
function process() {
  return new Array(2 ** 32 - 1).join(",").length;
}
