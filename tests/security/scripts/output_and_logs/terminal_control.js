// A line that clears a terminal, and others with all that ends lines.
// expect: succeeded
// output: 1
// console: [["warn", "\u001b[2J\u001b[1;1Hroot@host:~# "], ["info", "a\r\nb\rc\u2028d\u2029e\u0085f\u0000g"]]
function process() {
  console.warn("\x1b[2J\x1b[1;1Hroot@host:~# ");
  console.info("a\r\nb\rc\u2028d\u2029e\u0085f\0g");
  return 1;
}
