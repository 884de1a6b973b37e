import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { wilson } from "../training/wilson.ts";
import { reportData } from "../test/report-data.ts";
import { reportPage } from "./page.ts";

/** Names of the elements and their attributes, in order. */
function structure(page: string): string[] {
  return [...page.matchAll(/<(\/?[a-z!][\w-]*)((?:\s+[\w:-]+(?:="[^"]*")?)*)\s*\/?>/gi)].map(
    ([, name, attributes = ""]) =>
      `${name} ${[...attributes.matchAll(/([\w:-]+)(?=[=\s]|$)(?:="[^"]*")?/g)].map(([, key]) => key).join(" ")}`,
  );
}

describe("report page", () => {
  it("keeps its structure whatever labels, tokens, ids and bundles say", () => {
    const plain = structure(reportPage(reportData("plain")));
    expect(plain.length).toBeGreaterThan(150);
    for (const hostile of [
      `"><script>alert(1)</script>`,
      `' onmouseover='alert(1)`,
      `</style><img src=x onerror=alert(1)>`,
      `</title><svg onload=alert(1)>`,
      `<!-- `,
      `&lt;script&gt;`,
    ]) {
      expect(structure(reportPage(reportData(hostile)))).toEqual(plain);
    }
  });

  it("loads nothing, runs nothing, and allows its own style sheet alone", () => {
    const page = reportPage(reportData("plain"));
    expect(page).not.toMatch(
      /<(script|link|iframe|object|embed|form)\b|\son\w+=|\sstyle=|https?:|@import|url\(/i,
    );
    const [, style = ""] = /<style>([^]*)<\/style>/.exec(page) ?? [];
    const digest = createHash("sha256").update(style).digest("base64");
    const [, policy = ""] = /Content-Security-Policy" content="([^"]*)"/.exec(page) ?? [];
    expect(policy).toContain("default-src &#39;none&#39;");
    expect(policy).toContain(`style-src &#39;sha256-${digest}&#39;`);
    expect(page.indexOf("Content-Security-Policy")).toBeLessThan(page.indexOf("<style>"));
  });

  it("says the verdict before anything else", () => {
    const page = reportPage(reportData("plain", { verdict: { tone: "bad", sentence: "It does not help." } }));
    const words = page.slice(page.indexOf("<main>")).replaceAll(/<[^>]*>/g, " ");
    expect(words.indexOf("It does not help.")).toBeLessThan(words.indexOf("%"));
    expect(page).toContain("<h1>It does not help.</h1>");
  });

  it("shows a refusal with its evidence, and nothing of a patch", () => {
    const page = reportPage(
      reportData("plain", {
        detector: null,
        scores: [],
        refusal: {
          message: "attention columns do not carry this. Retrain",
          findings: [{ what: "answer changes", rate: wilson(3, 60) }],
        },
      }),
    );
    expect(page).toContain("no patch was made");
    expect(page).toContain("<p>Retrain.</p>");
    expect(page).toMatch(/answer changes[^]*5\.0 %[^]*\[1\.7, 13\.7\]/);
    expect(page).not.toMatch(/this patch|Clean answers that change|Cost of an answer/);
  });

  it("believes no share of a bundle that is none", () => {
    const page = reportPage(reportData("plain"));
    expect(page).toContain("held out, failing: the answer changes");
    expect(page).not.toContain("held out, clean: the answer changes");
  });
});
