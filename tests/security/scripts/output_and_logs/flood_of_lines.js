// A line for every turn of an endless loop.
// expect: timed_out
// limits: wall_ms=200 console_lines=3 memory_bytes=536870912
// console: [["log", "0"], ["log", "1"], ["log", "2"]]
// dropped: some
function process() {
  for (let n = 0; ; n++) console.log(n);
}
