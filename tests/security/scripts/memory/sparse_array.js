// An array whose elements are far apart.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const sparse = [];
  for (let n = 0; ; n++) sparse[(n * 7_919) % 4_294_967_291] = [n];
}
