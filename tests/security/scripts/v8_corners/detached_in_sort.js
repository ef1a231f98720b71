// A comparator that takes the buffer away.
// expect: succeeded
// output: 0
function process() {
  const array = new Uint8Array([3, 1, 2]);
  array.sort((a, b) => { if (!array.buffer.detached) array.buffer.transfer(); return a - b; });
  return array.length;
}
