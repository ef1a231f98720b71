// Looks for objects that reveal garbage collection, and for memory and locks shared by threads.
// output: ["undefined","undefined","undefined","undefined","undefined",3]
function process() {
  globalThis.kept = new WeakMap();
  const holders = [];
  for (let i = 0; i < 1_000; i++) { const key = {}; kept.set(key, i); holders.push(key); }
  globalThis.holders = holders;
  for (const name of ["WeakRef", "FinalizationRegistry", "SharedArrayBuffer", "Atomics"]) {
    globalThis[name] ??= function () { return {}; };
  }
  return kept.get(holders[5]);
}
// ---- second
function process() {
  const garbage = [];
  for (let i = 0; i < 3; i++) garbage.push(new Array(1_000_000).fill(i));
  return [
    typeof WeakRef, typeof FinalizationRegistry, typeof SharedArrayBuffer, typeof Atomics,
    typeof kept, garbage.length,
  ];
}
