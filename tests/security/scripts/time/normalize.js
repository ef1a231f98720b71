// Normalises a long text of combining marks, again and again.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=268435456
function process() {
  const text = "\u0344\u0301\u0316".repeat(400_000);
  for (;;) text.normalize("NFC");
}
