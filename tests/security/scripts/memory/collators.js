// Objects of Intl, of another kind.
// expect: out_of_memory
// limits: memory_bytes=67108864 wall_ms=20000
function process() {
  const kept = [];
  for (;;) kept.push(new Intl.NumberFormat("ar", { style: "currency", currency: "EUR" }));
}
