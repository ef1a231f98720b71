// A reviver that puts back what it was asked about, one level deeper.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  let turns = 0;
  const parse = () => JSON.parse("[1,2]", (key, value) => {
    turns++;
    return key === "1" && turns % 1_000 !== 0 ? parse() : value;
  });
  for (;;) try { parse(); } catch { turns = 0; }
}
