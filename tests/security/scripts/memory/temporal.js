// Dates whose memory is not V8's.
// expect: out_of_memory
// limits: memory_bytes=67108864 wall_ms=20000
function process() {
  const kept = [];
  for (;;) kept.push(Temporal.PlainDateTime.from("2020-01-01T00:00"));
}
