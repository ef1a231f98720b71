// Shared memory by way of buffers' own methods.
// expect: succeeded
// output: ["[object ArrayBuffer]","[object ArrayBuffer]"]
function process() {
  const buffer = new ArrayBuffer(8, { maxByteLength: 16 });
  return [buffer, buffer.transfer()].map((value) => Object.prototype.toString.call(value));
}
