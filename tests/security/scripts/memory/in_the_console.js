// The bomb goes off while a console line is made.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  console.log({
    toJSON() {
      const kept = [];
      for (;;) kept.push({ kept });
    },
  });
}
