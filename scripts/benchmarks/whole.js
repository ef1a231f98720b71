// Run one script on one payload from stdin; write the time inside and the peak memory to stderr.
"use strict";
// The script redefines `process`.
const node = process;
const chunks = [];

node.stdin.on("data", (chunk) => chunks.push(chunk));
node.stdin.on("end", () => {
  const bytes = Buffer.concat(chunks);
  const run = (0, eval)(`${node.argv[2]}\nprocess`);
  const began = node.hrtime.bigint();
  const output = Buffer.from(JSON.stringify(run(JSON.parse(bytes.toString()))));
  const ms = Number(node.hrtime.bigint() - began) / 1e6;
  node.stdout.write(output, () => {
    const peak_kib = node.resourceUsage().maxRSS;
    node.stderr.write(JSON.stringify({ ms, peak_kib }));
  });
});
