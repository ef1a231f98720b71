// Ten thousand promises race; the first one in order wins, always.
// expect: succeeded
// output: [0,9999]
async function process() {
  const runners = Array.from({ length: 10_000 }, async (_, n) => { await null; return n; });
  const winner = await Promise.race(runners);
  const all = await Promise.all(runners);
  return [winner, all.at(-1)];
}
