// Take a file through a loop, a fold or a map, in this process; write one line of JSON to stdout.
"use strict";
const fs = require("node:fs");
const readline = require("node:readline");
const vm = require("node:vm");

const CHUNK_BYTES = 4 * 1024 * 1024;
const WRITE_UNITS = 64 * 1024;
const FULL = 2 ** 52;
const [, , mode, file, script] = process.argv;

const load = (names) =>
  vm.runInThisContext(`(() => { ${fs.readFileSync(script, "utf8")}\nreturn { ${names} }; })()`);

function* chunks() {
  const input = fs.openSync(file);
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  for (;;) {
    const count = fs.readSync(input, buffer, 0, CHUNK_BYTES, null);
    if (count === 0) return;
    yield buffer.subarray(0, count);
  }
}

// The sum of the even numbers as one writes it: a line after the other, each a number, or a BigInt
// if that is not exact.
function loop() {
  let sum = 0n, small = 0, rest = "";
  const add = (line) => {
    const number = Number(line);
    if (!Number.isSafeInteger(number)) {
      const exact = BigInt(line);
      if (exact % 2n === 0n) sum += exact;
    } else if (number % 2 === 0) {
      small += number;
      if (small > FULL || small < -FULL) {
        sum += BigInt(small);
        small = 0;
      }
    }
  };
  for (const chunk of chunks()) {
    const text = rest + chunk.toString("utf8");
    let at = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", at)) {
      add(text.slice(at, end));
      at = end + 1;
    }
    rest = text.slice(at);
  }
  add(rest);
  return JSON.stringify(String(sum + BigInt(small)));
}

// A fold of the example over the same chunks.
function fold(give) {
  const { start, step, finish } = load("start, step, finish");
  let state = start({});
  for (const given of give()) state = step(state, given);
  return JSON.stringify(finish(state));
}

function* texts() {
  for (const chunk of chunks()) yield chunk.toString("utf8");
}

function* lists() {
  let rest = "";
  for (const text of texts()) {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    yield lines;
  }
  if (rest !== "") yield [rest];
}

// Each line is parsed, mapped and written; some lines together, to a stream that is waited for
// when it is full.
async function map() {
  const { map } = load("map");
  const output = fs.createWriteStream("/dev/null");
  const lines = readline.createInterface({ input: fs.createReadStream(file) });
  let pending = "", waits = false;
  lines.on("line", (line) => {
    const value = map(JSON.parse(line), {});
    if (value !== null) pending += `${JSON.stringify(value)}\n`;
    if (pending.length < WRITE_UNITS) return;
    const full = !output.write(pending);
    pending = "";
    if (!full || waits) return;
    waits = true; // some more lines come nevertheless
    lines.pause();
    output.once("drain", () => {
      waits = false;
      lines.resume();
    });
  });
  await new Promise((done) => lines.once("close", done));
  await new Promise((done) => output.end(pending, done));
  return output.bytesWritten;
}

const MODES = {
  loop,
  lines: () => fold(lists),
  text: () => fold(texts),
  bytes: () => fold(chunks),
  map,
};

(async () => {
  const cpu = process.cpuUsage();
  const began = process.hrtime.bigint();
  const result = await MODES[mode]();
  const wall_ms = Number(process.hrtime.bigint() - began) / 1e6;
  const { user, system } = process.cpuUsage(cpu);
  const output = typeof result === "string" ? result : "";
  process.stdout.write(JSON.stringify({
    cpu_ms: (user + system) / 1e3,
    wall_ms,
    peak_kib: process.resourceUsage().maxRSS,
    output,
    output_bytes: typeof result === "string" ? output.length : result,
  }));
})();
