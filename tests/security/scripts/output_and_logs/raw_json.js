// Text that is put into the result as it is: the language takes primitives only.
// expect: succeeded
// output: [12345678901234567890,"SyntaxError"]
function process() {
  let refused;
  try { JSON.rawJSON('{"kind":"forged"}'); } catch (error) { refused = error.name; }
  return [JSON.rawJSON("12345678901234567890"), refused];
}
