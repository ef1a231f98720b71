// Turns off frames for all errors, then asks for thousands of them.
// output: [10,3,true]
function process() {
  Error.stackTraceLimit = 0;
  const shallow = new Error("x").stack;
  Error.stackTraceLimit = 10_000;
  const deep = (n) => (n === 0 ? new Error("x").stack : deep(n - 1));
  deep(500);
  Error.stackTraceLimit = "none";
  delete Error.captureStackTrace;
  return shallow;
}
// ---- second
function inner() { return new Error("mine").stack; }
function process() {
  const stack = inner().split("\n");
  return [Error.stackTraceLimit, stack.length, stack[1].includes("inner")];
}
