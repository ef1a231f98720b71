// Changes the lists and options that Intl hands out.
// output: [true,["en-US"],"gregory","latn"]
function process() {
  const zones = Intl.supportedValuesOf("timeZone");
  zones.length = 0;
  zones.push("left");
  Intl.getCanonicalLocales("en-us").fill("left");
  const options = new Intl.DateTimeFormat().resolvedOptions();
  options.calendar = options.numberingSystem = "left";
  Object.setPrototypeOf(options, { left: 1 });
  Intl.supportedValuesOf = () => ["left"];
  return zones;
}
// ---- second
function process() {
  const { calendar, numberingSystem } = new Intl.DateTimeFormat().resolvedOptions();
  return [
    Intl.supportedValuesOf("timeZone").length > 300, Intl.getCanonicalLocales("en-us"), calendar,
    numberingSystem,
  ];
}
