// Replaces the console and what formats its lines.
// output: 1
// console: [["log","{\"a\":[1,\"x\"]} Map(1) {1 => 2}"],["warn","1970-01-01T00:00:00.000Z"]]
function process() {
  globalThis.secrets = [];
  const { log } = console;
  for (const name of Object.getOwnPropertyNames(console)) {
    console[name] = (...args) => { secrets.push(args); log("left", ...args); };
  }
  Object.prototype.toJSON = () => "left";
  Map.prototype.forEach = () => {};
  Date.prototype.toISOString = Date.prototype.toJSON = () => "left";
  Object.keys = () => ["left"];
  return 1;
}
// ---- second
function process() {
  console.log({ a: [1, "x"] }, new Map([[1, 2]]));
  console.warn("%s", new Date(0).toISOString());
  return 1;
}
