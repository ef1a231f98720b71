// The clock that runs, by texts of dates and of Intl.
// expect: succeeded
// output: [true,"11/14/2023","11/14/2023","2023-11-14","2023"]
function process() {
  const format = new Intl.DateTimeFormat("en-US");
  return [
    Date() === "Tue Nov 14 2023 22:13:20 GMT+0000 (Coordinated Universal Time)",
    format.format(),
    format.formatToParts(undefined).map((part) => part.value).join(""),
    Temporal.Now.plainDateISO().toString(),
    new Intl.DateTimeFormat("en-US", { year: "numeric" }).format(undefined),
  ];
}
