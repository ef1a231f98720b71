// The bomb goes off while the result is written.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  return {
    toJSON() {
      const kept = [];
      for (;;) kept.push({ kept });
    },
  };
}
