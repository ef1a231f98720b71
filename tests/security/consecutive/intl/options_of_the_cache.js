// Asks for the default language with options, right before the same without options.
// output: ["1,234.5","1234.5","a","B",["a","B"]]
function process() {
  (1234.5).toLocaleString(undefined, { style: "percent", useGrouping: false });
  (1234.5).toLocaleString("en-US", { minimumFractionDigits: 5 });
  new Date(0).toLocaleDateString(undefined, { timeZone: "Asia/Tokyo", dateStyle: "full" });
  ["a", "B"].sort(new Intl.Collator(undefined, { caseFirst: "upper" }).compare);
  "a".toLocaleUpperCase("tr");
  Array.prototype.toSorted = () => ["left"];
  return 1;
}
// ---- second
function process() {
  const sorted = ["B", "a"].toSorted((a, b) => a.localeCompare(b));
  return [
    (1234.5).toLocaleString(), (1234.5).toLocaleString("en-US", { useGrouping: false }),
    ...sorted, sorted,
  ];
}
