// A real refusal, caught, kept and thrown again when there is memory enough.
// expect: out_of_memory
function process() {
  let kept;
  try { new ArrayBuffer(2 ** 33); } catch (error) { kept = error; }
  throw kept;
}
