// The locale and zone of the host do not show.
// expect: succeeded
// output: ["en-US","UTC","1,234.5","1/1/1970, 12:00:00 AM"]
function process() {
  return [
    Intl.NumberFormat().resolvedOptions().locale,
    Intl.DateTimeFormat().resolvedOptions().timeZone,
    (1234.5).toLocaleString(),
    new Date(0).toLocaleString().replace(/\u202f/g, " "),
  ];
}
