// Makes microtasks up to its time limit, of which some are left.
// first: timed_out
// limits: wall_ms=300
// cell: ends
// output: [2,"undefined"]
function process() {
  const next = () => { globalThis.tasks = 1; Promise.resolve().then(next); };
  next();
  return new Promise(() => {});
}
// ---- second
const process = async (data) => [await data, typeof tasks];
