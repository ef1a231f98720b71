// Segments of a long text, over and over.
// expect: timed_out
// limits: wall_ms=300 memory_bytes=536870912
function process() {
  const segmenter = new Intl.Segmenter("th", { granularity: "word" });
  const text = "สวัสดีชาวโลก".repeat(20_000);
  for (;;) for (const part of segmenter.segment(text)) if (part.index < 0) return part;
}
