// Deletes each entry as it is visited and adds another behind it.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const map = new Map([[0, 0]]);
  for (const key of map.keys()) {
    map.delete(key);
    map.set((key + 1) % 1_000_000, 0);
  }
}
