// Turns the end of the bomb into a result, a moment later.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const bomb = async () => {
    const kept = [];
    for (;;) kept.push([1, 2]);
  };
  return bomb().then(() => "survived", () => "survived").finally(() => "survived");
}
