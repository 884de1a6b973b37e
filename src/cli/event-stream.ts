/** Reads server-sent events (the event stream format of the HTML standard). */

export interface StreamedEvent {
  readonly id: string | null;
  /** Null for a block without an event, such as one that sets the time to wait. */
  readonly name: string | null;
  readonly data: Readonly<Record<string, unknown>>;
  readonly retryMs: number | null;
}

/** The events of a stream as they come, until it ends or breaks. */
export async function* readEvents(stream: ReadableStream<Uint8Array>): AsyncGenerator<StreamedEvent> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    let end = text.indexOf("\n\n");
    while (end >= 0) {
      yield parseBlock(text.slice(0, end));
      text = text.slice(end + 2);
      end = text.indexOf("\n\n");
    }
  }
}

function parseBlock(block: string): StreamedEvent {
  const fields = new Map<string, string>();
  for (const line of block.split("\n")) {
    const [, name, value = ""] = /^(\w+):? ?(.*)$/.exec(line) ?? [];
    if (name === undefined) continue;
    const before = fields.get(name);
    fields.set(name, before === undefined || name !== "data" ? value : `${before}\n${value}`);
  }
  const data = fields.get("data");
  const retry = fields.get("retry");
  return {
    id: fields.get("id") ?? null,
    name: data === undefined ? null : (fields.get("event") ?? "message"),
    data: data === undefined ? {} : (JSON.parse(data) as StreamedEvent["data"]),
    retryMs: retry === undefined ? null : Number(retry),
  };
}
