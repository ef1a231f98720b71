// Collects what does not end.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  function* ones() { for (;;) yield [1]; }
  return [...ones()];
}
