// A buffer that grows in place.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const buffer = new ArrayBuffer(0, { maxByteLength: 2 ** 30 });
  const bytes = new Uint8Array(buffer);
  for (let size = 2 ** 20; size <= 2 ** 30; size += 2 ** 20) {
    buffer.resize(size);
    bytes.fill(1, size - 2 ** 20);
  }
  return buffer.byteLength;
}
