// Texts that look like dates.
// expect: succeeded
// output: [null,null,-62198755200000,8640000000000000]
function process() {
  return [Date.parse("x".repeat(1e6)), Date.parse("+275760-09-13T00:00:00.001Z"),
    Date.parse("-000001-01-01T00:00:00Z"), Date.parse("+275760-09-13T00:00:00.000Z")];
}
