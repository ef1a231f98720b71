// Fills the heap up to the memory limit.
// first: out_of_memory
// limits: memory_bytes=50331648
// cell: ends
// output: [2,1000]
function process() {
  let list = null;
  while (true) list = { list, value: [1, 2, 3] };
}
// ---- second
const process = (data) => [data, new Array(1_000).fill(0).length];
