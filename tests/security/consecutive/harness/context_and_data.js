// Keeps and changes the context and the data, and the prototypes under both.
// output: {"data":2,"keys":["execution_id","script","version","labels","params","clock_ms","seed"],"params":{}}
function process(data, context) {
  globalThis.kept = { data, context };
  context.params.left = 1;
  context.labels.left = "secret";
  Object.assign(context, { left: 1 });
  Object.freeze(context);
  Object.setPrototypeOf(Object.getPrototypeOf(context), null);
  Object.prototype.params = "left";
  return 1;
}
// ---- second
const process = (data, context) => (typeof kept === "undefined"
  ? { data, keys: Object.keys(context), params: context.params } : "left");
