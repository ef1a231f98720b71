// Upper and lower case in the locale with most exceptions.
// expect: timed_out
// limits: wall_ms=200 memory_bytes=536870912
function process() {
  const text = "iIıİß\u0307".repeat(50_000);
  for (;;) if (text.toLocaleUpperCase("lt").toLocaleLowerCase("tr") === "") return 1;
}
