// Keeps every object that it makes.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const kept = [];
  for (;;) kept.push({ kept });
}
