import { describe, expect, it } from "vitest";
import { committedApi, describeApi } from "./openapi-file.ts";

interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly tags?: readonly string[];
}

describe("the API description", () => {
  it("is the committed one; `npm run openapi` writes it anew", async () => {
    expect(await describeApi()).toBe(await committedApi());
  });

  it("names, sums up and groups every operation", async () => {
    const { paths } = JSON.parse(await committedApi()) as {
      paths: Record<string, Record<string, Operation>>;
    };
    const operations = Object.values(paths).flatMap((path) => Object.values(path));
    expect(operations.length).toBeGreaterThan(20);
    for (const { operationId, summary, tags } of operations) {
      expect(operationId).toBeTruthy();
      expect(summary).toBeTruthy();
      expect(tags).toHaveLength(1);
    }
    expect(new Set(operations.map((operation) => operation.operationId)).size).toBe(operations.length);
    expect(Object.keys(paths)).toContain("/v1/models/{model}:predict");
  });
});
