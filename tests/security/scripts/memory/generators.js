// Generators that were started and left.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const kept = [];
  function* wait() { yield new Array(10); }
  for (;;) {
    const one = wait();
    one.next();
    kept.push(one);
  }
}
