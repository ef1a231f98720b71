// Each closure keeps the one before.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  let last = () => 0;
  for (;;) {
    const before = last;
    last = () => before;
  }
}
