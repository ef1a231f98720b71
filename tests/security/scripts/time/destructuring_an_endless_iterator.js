// A hole for each of endless values, which the rest element asks for.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const endless = {
    [Symbol.iterator]: () => ({ next: () => ({ get done() { for (;;); } }) }),
  };
  const [first, ...rest] = endless;
  return [first, rest];
}
