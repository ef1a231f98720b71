// Objects of Intl, whose memory is not V8's.
// expect: out_of_memory
// limits: memory_bytes=67108864 wall_ms=20000
function process() {
  const kept = [];
  for (;;) kept.push(new Intl.DateTimeFormat("de", { dateStyle: "full" }));
}
