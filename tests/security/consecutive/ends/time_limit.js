// Loops up to its time limit, with a `finally` that would go on.
// first: timed_out
// limits: wall_ms=300
// cell: ends
// output: 2
function process() {
  globalThis.left = 1;
  try { while (true); } finally { while (true); }
}
// ---- second
const process = (data) => (typeof left === "undefined" ? data : "left");
