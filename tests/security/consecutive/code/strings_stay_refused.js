// Uses what compiles strings for the platform, and lets it fail midway.
// output: ["EvalError","EvalError","EvalError","a:b"]
// unseen: the platform forbids it again after each use
// cell: either
function process() {
  const deep = () => { try { deep(); } catch { /* the stack is full */ } new URL("a:b"); };
  try { deep(); } catch { /* as it may */ }
  Object.defineProperty(Object.prototype, "default", { get() { throw new Error("left"); } });
  try { new TextDecoder("utf-16le"); } catch { /* as it may */ }
  try { structuredClone({ get a() { throw 1; } }); } catch { /* as it must */ }
  return 1;
}
// ---- second
const failing = (attempt) => { try { attempt(); return "compiled"; } catch (e) { return e.name; } };
function process() {
  return [
    failing(() => eval("1")), failing(() => new Function("return 1")()),
    failing(() => Reflect.construct(async function () {}.constructor, ["await 1"])),
    new URL("a:b").href,
  ];
}
