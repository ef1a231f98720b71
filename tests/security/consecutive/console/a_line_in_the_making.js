// Stops in the middle of a line: by throwing, by another line, by a full stack.
// output: 1
// console: [["info","mine"]]
function process() {
  const deep = () => console.log({ get a() { deep(); return 1; } }, { toJSON: deep });
  try { deep(); } catch { /* the stack is full */ }
  try { console.log({ get secret() { throw new Error("left"); } }); } catch { /* as it may */ }
  console.group("secret");
  return 1;
}
// ---- second
function process() { console.info("mine"); return 1; }
