// Makes long texts natively and throws them away.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=268435456
function process() {
  for (;;) if ("".padStart(2 ** 20, "ab") === "".padEnd(2 ** 20, "ba")) return 1;
}
