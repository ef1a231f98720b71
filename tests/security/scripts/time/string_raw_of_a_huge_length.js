// Puts together 2**53 - 1 empty pieces.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const raw = new Proxy({}, { get: (_, key) => (key === "length" ? 2 ** 53 - 1 : "") });
  return String.raw({ raw });
}
