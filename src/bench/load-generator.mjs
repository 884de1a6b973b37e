// Sends one request over and over, on an event loop of its own: closed (each connection sends when it has its answer) or open
// (so many a second, whatever comes back). Answers each order with how often each outcome was seen and the latencies in ms.
import { parentPort } from "node:worker_threads";
// A third of the processor time of node:http a request: what sends takes less from who answers on the same cores.
import { Pool } from "undici";

const now = () => performance.now();
let stopped = false;

parentPort.on("message", async (order) => {
  if (order === "stop") return void (stopped = true);
  stopped = false;
  const tally = new Map();
  const { host, port, ...asked } = order.target;
  const pool = new Pool(`http://${host}:${port}`, { connections: order.connections ?? null, pipelining: 1 });
  const request = { ...asked, body: order.body };
  const record = (outcome, ms) => {
    if (!tally.has(outcome)) tally.set(outcome, []);
    tally.get(outcome).push(ms);
  };
  const began = now();
  const end = began + order.seconds * 1000;
  if (order.rate === undefined) {
    await Promise.all(Array.from({ length: order.connections }, () => closed(pool, request, end, record)));
  } else {
    await open(pool, request, order.rate, began, end, record);
  }
  const seconds = (now() - began) / 1000;
  await pool.destroy();
  parentPort.postMessage({ seconds, outcomes: Object.fromEntries(tally) });
});

async function closed(pool, request, end, record) {
  while (now() < end && !stopped) {
    const outcome = await send(pool, request, record);
    // A server that is gone is not asked as fast as the loop can.
    if (!/^\d+$/.test(outcome)) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function open(pool, request, rate, began, end, record) {
  const pending = new Set();
  let sent = 0;
  while (now() < end) {
    for (const due = ((now() - began) / 1000) * rate; sent < due; sent++) {
      const one = send(pool, request, record).finally(() => pending.delete(one));
      pending.add(one);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await Promise.all(pending);
}

function send(pool, request, record) {
  return new Promise((resolve) => {
    const began = now();
    let status;
    const finish = (outcome) => {
      record(outcome, now() - began);
      resolve(outcome);
    };
    pool.dispatch(request, {
      onRequestStart() {},
      onResponseStart(_controller, code) {
        status = String(code);
      },
      onResponseData() {},
      onResponseEnd() {
        finish(status);
      },
      onResponseError(_controller, error) {
        finish(error.code ?? error.message);
      },
    });
  });
}
