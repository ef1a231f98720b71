// The bomb goes off when the result is already there.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  Promise.resolve().then(() => {
    const kept = [];
    for (;;) kept.push({ kept });
  });
  return "done";
}
