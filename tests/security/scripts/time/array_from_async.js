// An endless source for `Array.fromAsync`, which yields nothing that is kept.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
async function process() {
  return Array.fromAsync({
    [Symbol.asyncIterator]: () => ({ next: () => ({ get done() { for (;;); } }) }),
  });
}
