// Returns a result however the bomb ended.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const kept = [];
  try {
    for (;;) kept.push([1, 2]);
  } finally {
    return "survived";
  }
}
