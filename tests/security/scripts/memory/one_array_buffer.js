// All of it at once.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  return new ArrayBuffer(2 ** 31).byteLength;
}
