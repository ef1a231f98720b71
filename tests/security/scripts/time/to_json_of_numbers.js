// `toJSON` for every BigInt.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
BigInt.prototype.toJSON = () => { for (;;); };
function process() {
  return { n: 1n };
}
