// Dates of Temporal beyond its range are errors of the script.
// expect: threw
// error: RangeError
function process() {
  return Temporal.PlainDate.from("+275760-09-13").add({ days: 10 }).toString();
}
