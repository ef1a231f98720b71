// Formatters of ranges, relative times and locale texts have no clock of their own.
// expect: succeeded
// output: ["TypeError","in 1 day","11/14/2023","10:13:20 PM"]
function process() {
  let refused;
  try { new Intl.DateTimeFormat("en-US").formatRange(); } catch (error) { refused = error.name; }
  return [
    refused,
    new Intl.RelativeTimeFormat("en-US").format(1, "day"),
    new Date().toLocaleDateString(),
    new Date().toLocaleTimeString().replace(/\u202f/g, " "),
  ];
}
