// A cache that keeps every answer, which grows by itself.
// expect: out_of_memory
// limits: memory_bytes=67108864
const cache = new Map();
function process() {
  const remember = (n) => {
    if (!cache.has(n)) cache.set(n, { n, text: `${n}`.padStart(64) });
    return cache.get(n);
  };
  for (let n = 0; ; n++) remember(n);
}
