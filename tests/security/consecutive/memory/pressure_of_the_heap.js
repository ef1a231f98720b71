// Holds most of its memory limit in objects until it ends.
// limits: memory_bytes=134217728
// output: [640,0.5]
// cell: either
function process() {
  globalThis.held = [];
  for (let i = 0; i < 150; i++) {
    const part = [];
    for (let j = 0; j < 2 ** 16; j++) part.push(j + 0.5);
    held.push(part.slice());
  }
  return held.length;
}
// ---- second
function process() {
  const held = [];
  for (let i = 0; i < 160; i++) {
    const part = [];
    for (let j = 0; j < 2 ** 16; j++) part.push(j + 0.5);
    held.push(part.slice());
  }
  return [held.length * 4, held[159][0]];
}
