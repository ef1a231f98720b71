// Never reaches the end that it moves.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const array = [1];
  for (const n of array) array.push(n);
}
