// Few characters, of many bytes.
// expect: output_too_large
// limits: output_bytes=12
function process() {
  return "éééééé";
}
