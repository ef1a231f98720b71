// A set of texts.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const set = new Set();
  for (;;) set.add(`value ${set.size} of very many`);
}
