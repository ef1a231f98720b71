// `process` is another thing each time it is looked at.
// expect: succeeded
// output: "a function"
let looks = 0;
Object.defineProperty(globalThis, "process", {
  get: () => (looks++ === 0 ? {} : () => "a function"),
});
