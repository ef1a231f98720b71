// The peer's worker: each job runs in a fresh isolate, one per core at a time.
import { availableParallelism } from "node:os";
import { Worker } from "bullmq";
import ivm from "isolated-vm";
import { QUEUE, connection } from "./queue.js";

const MEMORY_MB = 512;
const TIMEOUT_MS = 10_000;

async function execute({ data: { script, data } }) {
  const isolate = new ivm.Isolate({ memoryLimit: MEMORY_MB });
  try {
    const context = await isolate.createContext();
    await context.eval(script);
    return await context.evalClosure(
      "return JSON.stringify(process(JSON.parse($0)))",
      [JSON.stringify(data)],
      { timeout: TIMEOUT_MS, result: { copy: true } },
    );
  } finally {
    isolate.dispose();
  }
}

const worker = new Worker(QUEUE, execute, { connection, concurrency: availableParallelism() });
worker.on("error", (error) => process.stderr.write(`${error}\n`));
