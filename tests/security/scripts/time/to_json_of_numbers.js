// `toJSON` for every BigInt.
// expect: timed_out
// limits: wall_ms=200
BigInt.prototype.toJSON = () => { for (;;); };
function process() {
  return { n: 1n };
}
