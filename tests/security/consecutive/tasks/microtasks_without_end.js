// Fills its queue with 100,000 microtasks, of which each makes the next.
// cell: either
// output: ["undefined",[1,2]]
function process() {
  let left = 100_000;
  const next = () => { if (left-- > 0) Promise.resolve().then(next); else globalThis.done = 1; };
  next();
  for (let i = 0; i < 100_000; i++) Promise.resolve().then(() => { globalThis.tasks = i; });
  return 1;
}
// ---- second
async function process() {
  await null;
  return [typeof tasks, await Promise.all([1, Promise.resolve(2)])];
}
