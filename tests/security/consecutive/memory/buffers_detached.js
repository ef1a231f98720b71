// Detaches, resizes and transfers buffers, also while methods work on them.
// output: [64,"1,2,3",8,[4,3,2,1],true]
// cell: retired
// unseen: a script reaches no buffer but its own
function process() {
  const buffer = new ArrayBuffer(64, { maxByteLength: 1024 });
  const view = new Uint8Array(buffer);
  view.map((value, at) => { if (at === 3) buffer.resize(0); return value; });
  const fixed = new Uint8Array(64);
  fixed.sort(() => { if (!fixed.buffer.detached) fixed.buffer.transfer(); return 0; });
  structuredClone(new ArrayBuffer(8));
  return buffer.byteLength;
}
// ---- second
function process() {
  const buffer = new ArrayBuffer(64);
  const moved = new Uint8Array([1, 2, 3]).buffer.transfer();
  return [
    buffer.byteLength, new Uint8Array(moved).join(), new ArrayBuffer(8).slice(0).byteLength,
    [...new Uint8Array([1, 2, 3, 4]).reverse()], new ArrayBuffer(1).transfer().detached === false,
  ];
}
