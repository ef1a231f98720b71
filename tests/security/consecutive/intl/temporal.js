// Changes Temporal, its calendars and its time zones, in every class.
// output: ["2024-02-29","P1D","2024-03-01T00:00:00+01:00[Europe/Berlin]",2567]
function process() {
  for (const name of Object.getOwnPropertyNames(Temporal)) {
    const made = Temporal[name].prototype ?? {};
    for (const key of Object.getOwnPropertyNames(made)) {
      if (key !== "constructor") {
        Object.defineProperty(made, key, { configurable: true, value: () => "left" });
      }
    }
    Temporal[name].from = () => "left";
  }
  globalThis.Temporal = { left: 1 };
  return 1;
}
// ---- second
function process() {
  const day = Temporal.PlainDate.from("2024-02-29");
  return [
    String(day), String(day.until("2024-03-01")),
    String(day.add({ days: 1 }).toZonedDateTime("Europe/Berlin")),
    day.withCalendar("buddhist").year,
  ];
}
