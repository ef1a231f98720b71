// The zone and locale of the process are nobody's to change.
// expect: succeeded
// output: ["UTC",0,"UTC"]
function process() {
  try { Temporal.Now.timeZoneId = () => "Asia/Tokyo"; } catch {}
  const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
  return [timeZone, new Date(2020, 6).getTimezoneOffset(), Intl.DateTimeFormat().resolvedOptions().timeZone];
}
