// How numbers and dates become texts.
// expect: succeeded
// output: {"n":1.5,"d":"1970-01-01T00:00:00.000Z"}
function process() {
  Number.prototype.toString = Number.prototype.valueOf = () => "forged";
  Date.prototype.toString = Date.prototype.valueOf = () => "forged";
  return { n: 1.5, d: new Date(0) };
}
