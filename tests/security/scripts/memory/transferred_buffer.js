// A buffer that moves into a larger one.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  let buffer = new ArrayBuffer(2 ** 20);
  for (;;) {
    buffer = buffer.transfer(buffer.byteLength * 2);
    new Uint8Array(buffer).fill(1);
  }
}
