// Looking for `process` is what does not end.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
Object.defineProperty(globalThis, "process", {
  get() { for (;;); },
});
