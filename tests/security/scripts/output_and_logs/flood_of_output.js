// A result of eighty megabytes where one is allowed.
// expect: output_too_large
// limits: output_bytes=1000000 memory_bytes=268435456
function process() {
  return new Array(80).fill("x".repeat(1_000_000));
}
