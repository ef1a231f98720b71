// Fills the queue of microtasks without letting it run.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  for (;;) Promise.resolve().then(() => {});
}
