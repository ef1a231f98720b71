// Leaves thousands of rejected promises that nobody handles.
// output: ["mine"]
function process() {
  for (let i = 0; i < 10_000; i++) Promise.reject(new Error(`secret ${i}`));
  queueMicrotask(() => { throw new Error("secret"); });
  return 1;
}
// ---- second
const process = async () => [await Promise.reject("mine").catch((reason) => reason)];
