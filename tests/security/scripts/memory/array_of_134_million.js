// More elements than one allocation may have.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  return new Array(134_217_725).fill(0).length;
}
