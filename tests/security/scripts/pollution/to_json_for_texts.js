// `toJSON` on texts and numbers is not asked for inside of the platform's own messages.
// expect: threw
// error: Error: as it was
function process() {
  for (const kind of [String, Number, Boolean, Object, Array, Error]) kind.prototype.toJSON = () => "forged";
  throw new Error("as it was");
}
