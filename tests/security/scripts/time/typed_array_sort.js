// Natively sorted, again and again: eight million numbers at a time.
// expect: timed_out
// limits: wall_ms=300 memory_bytes=268435456
function process() {
  const numbers = new Float64Array(8_000_000);
  for (;;) {
    for (let i = 0; i < numbers.length; i++) numbers[i] = (i * 2_654_435_761) % 4_294_967_296;
    numbers.sort();
  }
}
