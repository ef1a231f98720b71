// Prints at the end of the stack: what cannot be shown is not, the run goes on.
// expect: succeeded
// limits: console_lines=2
// output: "back"
// console: any
// dropped: some
function process() {
  const dive = () => { try { dive(); } finally { console.log("deep"); } };
  try { dive(); } catch {}
  return "back";
}
