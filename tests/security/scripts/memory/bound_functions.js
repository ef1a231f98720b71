// A function bound again and again.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  let bound = () => 0;
  for (;;) bound = bound.bind(null, [1, 2, 3]);
}
