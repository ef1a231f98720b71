// Ends in a stack that is full, inside of V8 and of the platform.
// first: threw
// output: [true,"RangeError","mine"]
// unseen: a full stack is empty again in one context too
function process() {
  const deep = () => [new Error("x").stack, JSON.stringify({ toJSON: deep })];
  deep();
}
// ---- second
function process() {
  let depth = 0, name;
  const down = () => { depth++; down(); };
  try { down(); } catch (error) { name = error.name; }
  return [depth > 10_000, name, "mine"];
}
