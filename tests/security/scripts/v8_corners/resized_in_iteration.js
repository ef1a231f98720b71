// A buffer that shrinks under a loop over it.
// expect: succeeded
// output: 1
function process() {
  const buffer = new ArrayBuffer(8, { maxByteLength: 16 });
  let count = 0;
  for (const byte of new Uint8Array(buffer)) {
    count++;
    buffer.resize(0);
  }
  return count;
}
