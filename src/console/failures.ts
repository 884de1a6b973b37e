/** What to do about a failure, in words. Pure. */

/** A call that failed. */
export class ApiFailure extends Error {
  readonly code: string;
  readonly status: number;

  constructor(message: string, code: string, status: number) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

const advice: Readonly<Record<string, string>> = {
  ATPATCH_UNAUTHENTICATED: "Sign in again with a token that the server knows.",
  ATPATCH_FORBIDDEN: "Sign in with a token that has this scope, or ask somebody who has one.",
  ATPATCH_REVISION_MISMATCH:
    "Somebody changed the model in the meantime. What you see is up to date again: look, then repeat.",
  ATPATCH_QUEUE_FULL: "The server has more work than it can queue. Wait a moment and try again.",
  ATPATCH_NOT_READY: "The server is starting or stopping. Try again in a moment.",
  ATPATCH_DEADLINE: "The model did not answer in time. Try again, or look at the queue and the load.",
  ATPATCH_INTERNAL: "The server's log says more, under the id of the request.",
  ATPATCH_NETWORK: "Is the server running, and can this browser reach it? The page tries again by itself.",
};

/** A sentence for whatever went wrong, and one for what to do where that is known. */
export function describeFailure(error: unknown): { readonly what: string; readonly todo: string | null } {
  if (error instanceof ApiFailure) return { what: sentence(error.message), todo: advice[error.code] ?? null };
  return { what: sentence(error instanceof Error ? error.message : String(error)), todo: null };
}

function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(capital) ? capital : `${capital}.`;
}
