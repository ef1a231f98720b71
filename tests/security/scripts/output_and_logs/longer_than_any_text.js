// A result that no text of V8 can hold.
// expect: output_too_large
// limits: output_bytes=1000000 memory_bytes=1073741824
function process() {
  return new Array(540).fill("x".repeat(1_000_000));
}
