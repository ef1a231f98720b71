// A weak map whose keys stay alive.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const weak = new WeakMap();
  let key = {};
  for (;;) {
    const next = { key };
    weak.set(next, [key]);
    key = next;
  }
}
