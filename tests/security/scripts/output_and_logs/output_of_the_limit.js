// Exactly as much as there may be.
// expect: succeeded
// limits: output_bytes=12
// output: "0123456789"
function process() {
  return "0123456789";
}
