// What the two processes of the peer agree on.
export const QUEUE = "executions";

export const connection = {
  path: process.env.REDIS_SOCKET,
  // BullMQ asks for it: its worker blocks on Redis for as long as it takes.
  maxRetriesPerRequest: null,
};
