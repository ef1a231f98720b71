// Locales that are not: an error of the script.
// expect: threw
// error: RangeError
function process() {
  return new Intl.NumberFormat("x".repeat(100_000));
}
