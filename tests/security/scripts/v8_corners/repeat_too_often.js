// A count beyond every text.
// expect: threw
// error: RangeError: Invalid string length
function process() {
  return "xyz".repeat(2 ** 30);
}
