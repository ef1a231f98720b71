// Two elements, four thousand million in writing.
// expect: output_too_large
// limits: memory_bytes=67108864
function process() {
  const sparse = [];
  sparse[2 ** 32 - 2] = 1;
  return sparse;
}
