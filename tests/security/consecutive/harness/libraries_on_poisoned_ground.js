// Poisons the prototypes that the platform's libraries use when they are loaded.
// output: ["https://example.org/a?b=1","YWI=","ab","b"]
// cell: either
function process() {
  for (const maker of [Array, String, Map, Set, Object, Function, RegExp]) {
    for (const name of Object.getOwnPropertyNames(maker.prototype)) {
      if (name === "constructor") continue;
      try { maker.prototype[name] = () => "left"; } catch { /* a getter */ }
    }
  }
  try { new URL("https://example.org"); } catch { /* as it may */ }
  try { btoa("x"); } catch { /* as it may */ }
  try { new TextEncoder().encode("x"); } catch { /* as it may */ }
  globalThis["__core-js_shared__"] = { left: 1 };
  return 1;
}
// ---- second
function process() {
  return [
    new URL("https://example.org/a?b=1").href, btoa("ab"), atob("YWI="),
    new URLSearchParams("a=b").get("a"),
  ];
}
