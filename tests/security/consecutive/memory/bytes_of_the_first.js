// Fills buffers and texts with a secret and frees them, for the second to find in new memory.
// output: {"buffers":60,"bytes":0}
// cell: either
// unseen: V8 clears memory in one context too
function process() {
  const kept = [];
  for (let i = 0; i < 40; i++) {
    kept.push(new Uint8Array(2 ** (8 + (i % 12))).fill(0x5a), "Z".repeat(2 ** (i % 16)) + i);
    kept.push(new Float64Array(4_096).fill(-1e300), new BigUint64Array(512).fill(2n ** 63n));
  }
  return kept.length;
}
// ---- second
function process() {
  let bytes = 0, buffers = 0;
  const count = (buffer) => {
    buffers++;
    for (const byte of new Uint8Array(buffer)) if (byte !== 0) bytes++;
  };
  for (let i = 0; i < 12; i++) {
    const size = 2 ** (8 + i);
    count(new ArrayBuffer(size));
    count(new Float64Array(size / 8).buffer);
    const growing = new ArrayBuffer(16, { maxByteLength: 2 * size });
    growing.resize(2 * size);
    count(growing);
    growing.resize(8);
    growing.resize(size);
    count(growing);
    count(new ArrayBuffer(8).transfer(size));
  }
  return { buffers, bytes };
}
