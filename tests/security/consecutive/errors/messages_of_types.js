// Makes V8 write names of the first into messages, and changes the classes of errors.
// output: ["thing is not a function","Cannot read properties of null (reading 'a')","Error","mine"]
function process() {
  for (const name of ["TypeError", "RangeError", "Error", "SyntaxError", "ReferenceError"]) {
    const maker = globalThis[name];
    Object.defineProperty(maker.prototype, "message", { get: () => "left", set() {} });
    maker.prototype.name = "Left";
    globalThis[name] = class Left { constructor() { this.message = "left"; } };
  }
  return 1;
}
// ---- second
const failing = (attempt) => { try { attempt(); return "none"; } catch (e) { return e.message; } };
function process() {
  const thing = 1;
  return [
    failing(() => thing()), failing(() => null.a), new Error("x").name, new TypeError("mine").message,
  ];
}
