// One object with ever more names.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  const object = {};
  for (let n = 0; ; n++) object[`name${n}`] = n;
}
