// Draws bytes and identifiers, which must not go on where the first stopped.
// output: [[76,35,134,205],true]
const drawn = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(4));
  return [[...bytes], crypto.randomUUID() !== globalThis.known];
};
function process() {
  const seen = drawn();
  globalThis.known = crypto.randomUUID();
  return seen;
}
