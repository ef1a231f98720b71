// The bomb goes off while the result is awaited.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  return {
    then() {
      const kept = [];
      for (;;) kept.push({ kept });
    },
  };
}
