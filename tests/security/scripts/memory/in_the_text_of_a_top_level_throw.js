// The bomb is in the text of what the top level threw.
// expect: out_of_memory
// limits: memory_bytes=67108864
throw {
  toString() {
    const kept = [];
    for (;;) kept.push({ kept });
  },
};
