// Formats with other languages, so that formats kept by V8 are not those of the default.
// output: ["1,234.5","11/14/2023","1/1/1970, 12:00:00 AM",-1,"en-US","UTC"]
function process() {
  const texts = [];
  for (const locale of ["de", "ar-EG", "hi", "ja-JP-u-ca-japanese", "th"]) {
    texts.push((1234.5).toLocaleString(locale), new Date(0).toLocaleString(locale));
    texts.push("a".localeCompare("b", locale), new Intl.NumberFormat(locale).format(5));
  }
  globalThis.formats = texts;
  Intl.NumberFormat.prototype.resolvedOptions = () => ({ locale: "left" });
  Number.prototype.toLocaleString = () => "left";
  return texts.length;
}
// ---- second
function process() {
  const { locale, timeZone } = new Intl.DateTimeFormat().resolvedOptions();
  return [
    (1234.5).toLocaleString(), new Date().toLocaleDateString(), new Date(0).toLocaleString(),
    "a".localeCompare("B"), locale, timeZone,
  ];
}
