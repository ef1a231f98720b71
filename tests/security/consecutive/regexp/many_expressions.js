// Compiles thousands of expressions, so that those of the second script come from the cache.
// output: [true,false,["2024","05"],"$1"]
function process() {
  let found = 0;
  for (let i = 0; i < 5_000; i++) if (new RegExp(`^a{${i % 50}}$`, "u").test("aa")) found++;
  for (let i = 0; i < 1_000; i++) /^(\d+)-(\d+)$/.exec("1234-56");
  globalThis.cache = found;
  return found;
}
// ---- second
function process() {
  return [
    /^a{2}$/u.test("aa"), /^a{3}$/u.test("aa"), /^(\d+)-(\d+)$/.exec("2024-05").slice(1),
    "x".replace(/x/, "$1") + (globalThis.cache ?? ""),
  ];
}
