// Dates beyond all calendars.
// expect: succeeded
// output: [null,"+275760-09-13T00:00:00.000Z","-271821-04-20T00:00:00.000Z","Invalid Date"]
function process() {
  return [new Date(8.64e15 + 1), new Date(8.64e15), new Date(-8.64e15), String(new Date(NaN))];
}
