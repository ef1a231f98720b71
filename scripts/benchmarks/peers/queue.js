// The settings that both processes of the peer share.
export const QUEUE = "executions";

export const connection = {
  path: process.env.REDIS_SOCKET,
  // BullMQ requires it, since its worker blocks on Redis without a limit.
  maxRetriesPerRequest: null,
};
