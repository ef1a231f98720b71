// Computes up to its limit of CPU time.
// first: timed_out
// limits: cpu_ms=200
// cell: ends
// output: 2
function process() {
  let sum = 0;
  while (true) sum += Math.sqrt(sum + 1);
}
// ---- second
const process = (data) => data;
