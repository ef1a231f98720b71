// Sorts an array with four thousand million holes.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const sparse = [2, 1];
  sparse.length = 2 ** 32 - 1;
  for (;;) sparse.sort();
}
