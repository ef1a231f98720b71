// Makes every access to a typed array slow for all realms of its isolate.
// cell: retired
// unseen: it is only slower
// output: [1,2]
function process() {
  new ArrayBuffer(8).transfer();
  return 1;
}
// ---- second
const process = () => [...new Uint8Array([1, 2])];
