// Defines names of the second script as global properties that nobody can change.
// output: ["mine",3,"also mine"]
function process() {
  for (const name of ["process", "helper", "total", "Kept"]) {
    Object.defineProperty(globalThis, name, { value: () => "left", writable: false });
  }
  Object.preventExtensions(globalThis);
  return 1;
}
// ---- second
let total = 0;
class Kept { static text = "also mine"; }
function helper() { return "mine"; }
function process() {
  for (let i = 0; i < 3; i++) total++;
  return [helper(), total, Kept.text];
}
