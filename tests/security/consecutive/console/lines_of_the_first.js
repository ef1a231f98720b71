// Writes lines with a secret, the last ones while the platform walks its result.
// output: 2
// console: [["log","mine 2"]]
function process() {
  for (let i = 0; i < 100; i++) console.log(`secret ${i}`, { secret: i });
  console.error("secret".repeat(1_000));
  return { lost: new Proxy({}, { ownKeys() { console.log("secret"); return []; } }) };
}
// ---- second
function process(data) { console.log("mine", data); return data; }
