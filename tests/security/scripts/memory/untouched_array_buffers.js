// Memory that is asked for and never written.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const kept = [];
  for (;;) kept.push(new ArrayBuffer(16_000_000));
}
