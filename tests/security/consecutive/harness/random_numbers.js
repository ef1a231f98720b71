// Draws thousands of numbers, then replaces what draws them.
// output: [0.8028280335365205,"number",36]
async function process() {
  for (let i = 0; i < 5_000; i++) { Math.random(); crypto.randomUUID(); }
  await null;
  globalThis.drawn = Math.random();
  Math.random = () => 0.5;
  Math.imul = () => 7;
  return 1;
}
// ---- second
const first = Math.random();
const process = () => [first, typeof Math.random(), crypto.randomUUID().length];
