/** Events of the server as they happen; comes back by itself and asks for what it missed. */
import type { Api } from "./api.ts";
import type { LiveEvent } from "./api-types.ts";
import { EventStreamReader } from "./event-stream.ts";
import { ApiFailure } from "./failures.ts";

export interface LiveListener {
  /** Whether events come in. */
  connected(is: boolean): void;
  event(event: LiveEvent): void;
  /** The token is not taken any more. */
  refused(failure: ApiFailure): void;
}

const waitMs = 2_000;

/** Listens until the returned function is called. */
export function listen(api: Api, listener: LiveListener): () => void {
  const stop = new AbortController();
  const reader = new EventStreamReader();
  const once = async (): Promise<void> => {
    const headers: Record<string, string> = reader.lastId === null ? {} : { "last-event-id": reader.lastId };
    const { body } = await api.call("GET", "admin/events", { signal: stop.signal, headers });
    listener.connected(true);
    const texts = body!.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await texts.read();
      if (done) return;
      for (const event of reader.push(value)) listener.event(event);
    }
  };
  const forever = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        await once();
      } catch (error) {
        if (error instanceof ApiFailure && (error.status === 401 || error.status === 403)) {
          listener.refused(error);
          return;
        }
      }
      if (stop.signal.aborted) return;
      listener.connected(false);
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  };
  void forever();
  return () => stop.abort();
}
