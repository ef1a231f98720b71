// The bomb is in what was thrown.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  throw {
    get message() {
      const kept = [];
      for (;;) kept.push({ kept });
    },
  };
}
