// Frames as objects, which would lead to functions and their `this`.
// expect: succeeded
// output: ["string","string","string"]
function process() {
  const kinds = [];
  const attempts = [
    () => { Error.prepareStackTrace = (_, frames) => frames; },
    () => { Object.defineProperty(Error, "prepareStackTrace", { value: (_, frames) => frames }); },
    () => { delete Error.prepareStackTrace; globalThis.Error = class extends Error {}; },
  ];
  for (const attempt of attempts) {
    try { attempt(); } catch {}
    const holder = {};
    TypeError.captureStackTrace(holder);
    kinds.push(typeof holder.stack);
  }
  return kinds;
}
