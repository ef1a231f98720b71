// Defines every hook that reads or changes the stacks of errors.
// output: ["Error: mine","string",true]
function process() {
  globalThis.frames = [];
  for (const maker of [Error, TypeError, RangeError, Object]) {
    try {
      Object.defineProperty(maker, "prepareStackTrace", {
        configurable: true, value: (error, sites) => { frames.push(sites); return "left"; },
      });
    } catch { /* it is fixed */ }
    maker.captureStackTrace = (error) => { error.stack = "left"; };
  }
  Error.prototype.toString = () => "left";
  Object.defineProperty(Error.prototype, "stack", { get: () => "left", set() {} });
  return String(new Error("x").stack);
}
// ---- second
function process() {
  const error = new Error("mine"), captured = {};
  Error.captureStackTrace(captured);
  return [String(error), typeof error.stack, captured.stack.includes("process.js")];
}
