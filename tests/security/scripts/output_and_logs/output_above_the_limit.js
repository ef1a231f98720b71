// One byte more.
// expect: output_too_large
// limits: output_bytes=12
function process() {
  return "0123456789a";
}
