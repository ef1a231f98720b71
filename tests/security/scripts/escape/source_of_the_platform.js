// The platform's functions show no more than V8's own.
// expect: succeeded
// output: []
function process() {
  const theirs = {
    hook: Error.prepareStackTrace, random: Math.random, now: Date.now, Date,
    log: console.log, trace: console.trace, instant: Temporal.Now.instant,
    plainDateISO: Temporal.Now.plainDateISO,
    parts: Intl.DateTimeFormat.prototype.formatToParts,
    format: Reflect.getOwnPropertyDescriptor(Intl.DateTimeFormat.prototype, "format").get,
  };
  return Object.keys(theirs).filter(
    (name) => typeof theirs[name] === "function" && !/\{\s*\[native code\]\s*\}$/.test(theirs[name]),
  );
}
