// The peer's API: POST /jobs {script, data} returns an id, GET /jobs/:id the job's state.
import Fastify from "fastify";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { QUEUE, connection } from "./queue.js";

const queue = new Queue(QUEUE, {
  connection,
  defaultJobOptions: { removeOnComplete: { age: 3600 }, removeOnFail: { age: 3600 } },
});
const redis = new Redis(connection);
const app = Fastify({ bodyLimit: 64 * 1024 * 1024 });

app.post("/jobs", async (request, reply) => {
  const { script, data } = request.body;
  const job = await queue.add("execute", { script, data });
  reply.code(202);
  return { id: job.id, status: "waiting" };
});

app.post("/bulk", async (request, reply) => {
  const jobs = await queue.addBulk(request.body.map((data) => ({ name: "execute", data })));
  reply.code(202);
  return { ids: jobs.map((job) => job.id) };
});

app.get("/left", async () => ({ left: await queue.getJobCountByTypes("waiting", "active") }));

app.get("/jobs/:id", async (request, reply) => {
  const { id } = request.params;
  const status = await queue.getJobState(id);
  reply.type("application/json");
  if (status === "unknown") {
    reply.code(404);
    return { id, status };
  }
  if (status === "completed") {
    // Not the whole job, whose data may be large. The value is the result's JSON, encoded as JSON.
    const value = await redis.hget(queue.toKey(id), "returnvalue");
    return `{"id":"${id}","status":"completed","result":${JSON.parse(value)}}`;
  }
  if (status === "failed") {
    return { id, status, error: await redis.hget(queue.toKey(id), "failedReason") };
  }
  return { id, status };
});

await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
