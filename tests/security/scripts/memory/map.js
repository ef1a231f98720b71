// A map of itself.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const map = new Map();
  for (;;) map.set(map.size, [map.size]);
}
