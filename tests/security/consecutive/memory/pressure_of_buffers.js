// Holds most of its memory limit in buffers until it ends.
// limits: memory_bytes=134217728
// output: [96,1]
// cell: either
// unseen: the check is about the limit, which both share there
const hold = (count) => {
  const held = [];
  for (let i = 0; i < count; i++) held.push(new Uint8Array(2 ** 20).fill(1));
  return held;
};
function process(turn) {
  globalThis.held = hold(96);
  return [held.length, held[95][2 ** 20 - 1]];
}
