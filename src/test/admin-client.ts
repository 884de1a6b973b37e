/** Calls of the admin interface with a token of one scope, and checks of what comes back. */
import { expect } from "vitest";
import type { LightMyRequestResponse } from "fastify";
import type { StaticParse, TSchema } from "typebox";
import { Value } from "typebox/value";
import { adminEntry, scopes, type Scope, type TokenEntry } from "../service/tokens.ts";
import type { TinyServer } from "./tiny-server.ts";

/** The token that has one scope. */
export const scopeToken = (scope: string): string => `token-for-${scope}`;

/** One token per scope; only that of `admin` has them all. */
export const scopeTokens: readonly TokenEntry[] = scopes.map((scope) => ({
  ...adminEntry(scope, scopeToken(scope)),
  scopes: new Set<Scope>([scope]),
}));

type Answer = Promise<LightMyRequestResponse>;
export type Method = "GET" | "POST" | "PUT" | "DELETE";
export interface Options {
  readonly body?: object | Buffer;
  readonly as?: string | null;
  readonly headers?: Record<string, string>;
}

/** A call of `/admin` + path as the owner of a scope's token, or of none. */
export function callAdmin(
  server: TinyServer,
  method: Method,
  path: string,
  { body, as = "admin", headers = {} }: Options = {},
): Answer {
  return server.app.inject({
    method,
    url: `/admin${path}`,
    headers: {
      ...(as !== null && { authorization: `Bearer ${scopeToken(as)}` }),
      ...(Buffer.isBuffer(body) && { "content-type": "application/octet-stream" }),
      ...headers,
    },
    ...(body !== undefined && { payload: body }),
  });
}

/** The body of a 200 or 201, checked against its schema. */
export async function done<T extends TSchema>(
  schema: T,
  answer: Answer,
  status = 200,
): Promise<StaticParse<T>> {
  const { statusCode, body } = await answer;
  expect(statusCode, body).toBe(status);
  const value: unknown = JSON.parse(body);
  expect(Value.Errors(schema, value)).toEqual([]);
  return Value.Parse(schema, value);
}

/** The text of a failure, after its status and code were checked. */
export async function refused(answer: Answer, status: number, code: string): Promise<string> {
  const { statusCode, body } = await answer;
  const failure = JSON.parse(body) as { error: string; code: string };
  expect({ status: statusCode, code: failure.code }, body).toEqual({ status, code });
  return failure.error;
}
