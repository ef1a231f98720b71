// References that must be tried in every length.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  return /^(a*)(a*)(a*)(a*)(a*)\1\2\3\4\5b$/.test("a".repeat(120));
}
