// What is below the limit is there to use.
// expect: succeeded
// limits: memory_bytes=67108864
// output: 40000000
function process() {
  return new Uint8Array(40_000_000).fill(1).length;
}
