// Fills memory with buffers up to the memory limit.
// first: out_of_memory
// limits: memory_bytes=50331648
// cell: ends
// output: [2,8388608]
function process() {
  const all = [];
  while (true) all.push(new Uint8Array(2 ** 24).fill(1));
}
// ---- second
const process = (data) => [data, new Uint8Array(2 ** 23).fill(1).length];
