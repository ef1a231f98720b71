// Lets an allocation fail and catches that, so that a forged failure would be believed.
// limits: memory_bytes=67108864
// second: threw
// cell: either
function process() {
  for (let i = 0; i < 3; i++) {
    try { new ArrayBuffer(2 ** 32); } catch { /* as it must */ }
  }
  return 1;
}
// ---- second
function process() {
  try {
    new ArrayBuffer(-1);
  } catch (error) {
    Object.setPrototypeOf(error, RangeError.prototype);
    error.message = "Array buffer allocation failed";
    throw error;
  }
}
