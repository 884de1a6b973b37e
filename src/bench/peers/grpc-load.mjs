// Sends one message over and over, on an event loop of its own, over so many connections; each sends when it has its answer.
// Answers each order with how often each status was seen and the latencies in ms.
import { Client, credentials, status } from "@grpc/grpc-js";
import { parentPort, workerData } from "node:worker_threads";

const { address, path } = workerData;
const body = Buffer.from(workerData.body);
const same = (bytes) => bytes;

parentPort.on("message", async ({ connections, seconds }) => {
  const tally = {};
  const clients = Array.from({ length: connections }, () => connect());
  const began = performance.now();
  const end = began + seconds * 1000;
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() < end) {
        const sent = performance.now();
        const outcome = await ask(client);
        (tally[outcome] ??= []).push(performance.now() - sent);
      }
    }),
  );
  const took = (performance.now() - began) / 1000;
  for (const client of clients) client.close();
  parentPort.postMessage({ seconds: took, outcomes: tally });
});

// A pool of its own keeps a client from sharing its connection.
function connect() {
  return new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
}

function ask(client) {
  return new Promise((resolve) =>
    client.makeUnaryRequest(path, same, same, body, (error) => resolve(status[error?.code ?? status.OK])),
  );
}
