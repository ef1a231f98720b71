// Symbols that the isolate itself keeps.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  for (let n = 0; ; n++) Symbol.for(`registered ${n} ${"x".repeat(100)}`);
}
