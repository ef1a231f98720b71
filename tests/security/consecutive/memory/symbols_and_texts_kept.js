// Leaves names that V8 keeps in tables of all realms.
// output: [3,"k2999"]
// cell: either
// unseen: names alone say nothing
function process() {
  for (let i = 0; i < 200_000; i++) Symbol.for(`secret name ${i}`);
  const object = {};
  for (let i = 0; i < 50_000; i++) object[`k${i}`] = i;
  return Object.keys(object).length;
}
// ---- second
function process() {
  const object = {};
  for (let i = 0; i < 3_000; i++) object[`k${i}`] = i;
  return [Object.keys(object).length / 1_000, Object.keys(object).at(-1)];
}
