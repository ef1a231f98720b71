// A number with more digits than V8 takes.
// expect: threw
// error: RangeError: Maximum BigInt size exceeded
function process() {
  return (2n ** 1_073_741_824n).toString().length;
}
