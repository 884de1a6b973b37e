// Sends one request over and over, on an event loop of its own: closed (each connection sends when it has its answer) or open
// (so many a second, whatever comes back). Answers each order with how often each outcome was seen and the latencies in ms.
import { Agent, request } from "node:http";
import { parentPort } from "node:worker_threads";

const now = () => performance.now();
let stopped = false;

parentPort.on("message", async (order) => {
  if (order === "stop") return void (stopped = true);
  stopped = false;
  const tally = new Map();
  const agent = new Agent({ keepAlive: true, maxSockets: order.connections ?? Infinity, scheduling: "fifo" });
  const target = { ...order.target, agent };
  const record = (outcome, ms) => {
    if (!tally.has(outcome)) tally.set(outcome, []);
    tally.get(outcome).push(ms);
  };
  const began = now();
  const end = began + order.seconds * 1000;
  if (order.rate === undefined) {
    await Promise.all(
      Array.from({ length: order.connections }, () => closed(target, order.body, end, record)),
    );
  } else {
    await open(target, order.body, order.rate, began, end, record);
  }
  const seconds = (now() - began) / 1000;
  agent.destroy();
  parentPort.postMessage({ seconds, outcomes: Object.fromEntries(tally) });
});

async function closed(target, body, end, record) {
  while (now() < end && !stopped) {
    const outcome = await send(target, body, record);
    // A server that is gone is not asked as fast as the loop can.
    if (!/^\d+$/.test(outcome)) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function open(target, body, rate, began, end, record) {
  const pending = new Set();
  let sent = 0;
  while (now() < end) {
    for (const due = ((now() - began) / 1000) * rate; sent < due; sent++) {
      const one = send(target, body, record).finally(() => pending.delete(one));
      pending.add(one);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await Promise.all(pending);
}

function send(target, body, record) {
  return new Promise((resolve) => {
    const began = now();
    const finish = (outcome) => {
      record(outcome, now() - began);
      resolve(outcome);
    };
    const sending = request(target, (response) => {
      response.on("error", (error) => finish(error.code ?? error.message));
      response.on("end", () => finish(String(response.statusCode)));
      response.resume();
    });
    sending.on("error", (error) => finish(error.code ?? error.message));
    sending.end(body);
  });
}
