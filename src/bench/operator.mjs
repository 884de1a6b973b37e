// The operator of a swap study, on an event loop of its own: the load generator's delays are not the server's. Activates
// what it is told and answers with when it called and when the server had answered, in ms since the epoch.
import { parentPort, workerData } from "node:worker_threads";

const { url, token } = workerData;
const now = () => performance.timeOrigin + performance.now();

parentPort.on("message", async ({ detector, reason }) => {
  const called = now();
  try {
    const response = await fetch(url, {
      method: "PUT",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ detector, reason }),
    });
    const text = await response.text();
    const error = response.ok ? null : `${response.status} ${text}`;
    parentPort.postMessage({ called, answered: now(), error });
  } catch (error) {
    parentPort.postMessage({ called, answered: now(), error: String(error) });
  }
});
