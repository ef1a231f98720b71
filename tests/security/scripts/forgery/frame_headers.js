// Returns bytes that look like the protocol between a cell and its pool.
// expect: succeeded
// output: "\u0000\u0000\u0000\u0002{}\u0007\u0000\u0000\u0000\u0004\u0001\u0002"
function process() {
  return "\0\0\0\x02{}\x07\0\0\0\x04\x01\x02";
}
