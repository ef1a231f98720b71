// Groups what does not end.
// expect: out_of_memory
// limits: memory_bytes=67108864
function process() {
  function* numbers() { for (let n = 0; ; n++) yield n; }
  return Object.groupBy(numbers(), (n) => n % 10);
}
