// Leaves functions waiting for promises that nothing settles.
// first: unsettled_promise
// output: ["undefined","done"]
async function process() {
  globalThis.waiting = [];
  for (let i = 0; i < 10_000; i++) {
    waiting.push(Promise.withResolvers());
    (async () => { await waiting[i].promise; globalThis.woken = i; })();
  }
  await new Promise(() => {});
}
// ---- second
async function process() {
  if (typeof waiting !== "undefined") for (const { resolve } of waiting) resolve();
  await null;
  return [typeof woken, await "done"];
}
