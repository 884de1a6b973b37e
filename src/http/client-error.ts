/** Requests that are no HTTP: answered on the bare socket, in the form of every other failure. */
import type { Socket } from "node:net";
import type { ErrorBody } from "./errors.ts";

const reasons: Readonly<Record<string, readonly [status: string, error: string]>> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "the headers are too large"],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "the request took too long to arrive"],
};

export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, text] = reasons[error.code ?? ""] ?? ["400 Bad Request", "the request is not HTTP"];
  const body = JSON.stringify({ error: text, code: "ATPATCH_BAD_INPUT" } satisfies ErrorBody);
  const head = [
    `HTTP/1.1 ${status}`,
    "content-type: application/json; charset=utf-8",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
