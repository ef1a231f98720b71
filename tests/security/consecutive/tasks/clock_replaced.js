// Replaces every clock that a script can ask.
// output: [1700000000000,2023,"2023-11-14","Tue Nov 14 2023","11/14/2023"]
// cell: either
function process() {
  Date.now = () => 0;
  globalThis.Date = class extends Date { constructor() { super(0); } };
  Date.prototype.getFullYear = () => 1970;
  for (const name of Object.keys(Object.getOwnPropertyDescriptors(Temporal.Now))) {
    Temporal.Now[name] = () => "left";
  }
  delete globalThis.Temporal;
  Intl.DateTimeFormat.prototype.formatToParts = () => [];
  Object.defineProperty(Intl.DateTimeFormat.prototype, "format", { get: () => () => "left" });
  performance.now = () => 5;
  return 1;
}
// ---- second
function process() {
  return [
    Date.now(), new Date().getFullYear(), String(Temporal.Now.plainDateISO()),
    new Date().toDateString(), new Intl.DateTimeFormat().format(),
  ];
}
