// Lets its clock run ahead by a week of timers.
// output: [1700000000000,0,"2023-11-14T22:13:20Z",1700000000000]
// unseen: the check does not wait for the first's timers
async function process() {
  for (let i = 0; i < 7; i++) await new Promise((resolve) => setTimeout(resolve, 86_400_000));
  globalThis.passed = Date.now();
  return performance.now();
}
// ---- second
function process() {
  return [Date.now(), performance.now(), String(Temporal.Now.instant()), globalThis.passed ?? +new Date()];
}
