// All matches of everything.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  return [..."ab".repeat(5_000_000).matchAll(/(?<a>a)(?<b>b)/g)].length;
}
