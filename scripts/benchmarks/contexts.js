// Run one script on many payloads from stdin, each after 4 bytes of length, in fresh contexts.
"use strict";
const vm = require("node:vm");

const source = process.argv[2];
let received = Buffer.alloc(0);

process.stdin.on("data", (chunk) => {
  received = Buffer.concat([received, chunk]);
  while (received.length >= 4 && received.length >= 4 + received.readUInt32BE(0)) {
    const end = 4 + received.readUInt32BE(0);
    const output = Buffer.from(execute(received.toString("utf8", 4, end)));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(output.length);
    process.stdout.write(Buffer.concat([length, output]));
    received = received.subarray(end);
  }
});

function execute(text) {
  const context = vm.createContext();
  vm.runInContext(source, context);
  return vm.runInContext("(text) => JSON.stringify(process(JSON.parse(text)))", context)(text);
}
