import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createMetrics } from "../metrics/metrics.ts";

const read = (file: string): string => readFileSync(new URL(`../../docker/${file}`, import.meta.url), "utf8");

describe("alert rules and dashboard", () => {
  it.each(["rules.yml", "grafana/dashboards/atpatch.json"])(
    "%s asks for metrics that exist",
    async (file) => {
      const exposed = await createMetrics({ roles: () => [] }).expose();
      const known = new Set([...exposed.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name));
      const asked = [...read(file).matchAll(/\b(?:atpatch|http|process|nodejs)_\w+/g)];
      const names = new Set(asked.map(([name]) => name.replace(/_(bucket|sum|count)$/, "")));
      const unknown = [...names].filter((name) => !known.has(name));
      expect(known.size).toBeGreaterThan(20);
      expect(unknown).toEqual([]);
    },
  );
});

describe("docker-compose.yml", () => {
  it("mounts files that exist and pins every image", () => {
    const compose = readFileSync(new URL("../../docker-compose.yml", import.meta.url), "utf8");
    for (const [, path] of compose.matchAll(/- \.\/docker\/([\w./-]+\.yml):/g))
      expect(read(path!)).not.toBe("");
    for (const [, image] of compose.matchAll(/image: (\S+)/g)) expect(image).toMatch(/:[\w.-]+$/);
  });
});
