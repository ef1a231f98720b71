// Keeps 0.6 of the limit and replaces all of it, many times over.
// expect: succeeded
// limits: memory_bytes=67108864 wall_ms=20000
// output: 375000
function process() {
  const kept = [];
  for (let i = 0; i < 375_000; i++) kept.push({ i, a: [i] });
  for (let i = 0; i < 3_000_000; i++) kept[i % 375_000] = { i, a: [i] };
  return kept.length;
}
