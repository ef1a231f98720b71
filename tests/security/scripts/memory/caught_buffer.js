// A buffer that does not fit may be refused and done without: that is no failure.
// expect: succeeded
// limits: memory_bytes=67108864
// output: "did without"
function process() {
  try {
    return new ArrayBuffer(2 ** 33).byteLength;
  } catch {
    return "did without";
  }
}
