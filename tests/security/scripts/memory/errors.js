// Errors that are kept, each with its stack.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const kept = [];
  for (;;) kept.push(new Error(`number ${kept.length}`));
}
