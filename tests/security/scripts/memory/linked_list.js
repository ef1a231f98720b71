// A list that grows at its head.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  let head = null;
  for (;;) head = { head };
}
