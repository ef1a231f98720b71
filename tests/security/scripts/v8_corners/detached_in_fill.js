// A value whose conversion takes the buffer away.
// expect: threw
// error: TypeError
function process() {
  const array = new Uint8Array(1_000);
  array.fill({ valueOf() { array.buffer.transfer(0); return 1; } });
  return array.length;
}
