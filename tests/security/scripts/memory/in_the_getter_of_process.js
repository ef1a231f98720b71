// The bomb goes off while `process` is looked for.
// expect: out_of_memory
// limits: memory_bytes=67108864
Object.defineProperty(globalThis, "process", {
  get() {
    const kept = [];
    for (;;) kept.push({ kept });
  },
});
