// A top level whose value is a buffer that is taken away.
// expect: succeeded
// output: 1
function process() { return 1; }
const buffer = new ArrayBuffer(1_000_000);
Promise.resolve().then(() => buffer.transfer());
new Uint8Array(buffer);
