// Leaves timers and intervals behind, due while the second script waits.
// output: [0,3,"undefined",[1,2]]
function process() {
  globalThis.ids = [];
  for (let i = 0; i < 1_000; i++) ids.push(setTimeout(() => { globalThis.fired = i; }, i % 20));
  setInterval(() => { globalThis.fired = "again"; console.log("left"); }, 1);
  return ids.length;
}
// ---- second
async function process() {
  const start = Date.now();
  const order = [];
  const id = setTimeout(() => order.push(2), 50);
  setTimeout(() => order.push(1), 10);
  await new Promise((resolve) => setTimeout(resolve, 100));
  return [Date.now() - start - 100, id + 2, typeof fired, order];
}
