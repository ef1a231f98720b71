// Makes texts longer than V8 allows, which it remembers for all realms of its isolate.
// cell: either
// unseen: it is only slower
// output: 4
function process() {
  try { "x".repeat(2 ** 29).repeat(2); } catch { /* as it must */ }
  try { "x".padEnd(2 ** 30); } catch { /* as it must */ }
  return 1;
}
// ---- second
const process = () => "x".repeat(4).length;
