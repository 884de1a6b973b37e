import { describe, expect, it } from "vitest";
import { AtPatchError } from "../shared/errors.ts";
import { rateText, table } from "./format.ts";
import { Output } from "./output.ts";
import { pictureLines, sideBySide } from "./picture.ts";

function printed(json: boolean, live: boolean, print: (output: Output) => void) {
  let [out, err] = ["", ""];
  print(
    new Output(
      { out: (text) => (out += text), err: (text) => (err += text), live, colour: false, columns: 80 },
      json,
    ),
  );
  return { out, err };
}

describe("Output", () => {
  it("prints exactly one JSON document with --json, whatever was said before", () => {
    const { out, err } = printed(true, false, (output) => {
      output.say("on the way");
      output.progress("fitting", 1, 2);
      output.note("a remark");
      output.result({ done: true }, () => "done\n");
    });
    expect(JSON.parse(out)).toEqual({ done: true });
    expect(err).toBe("fitting …\na remark\n");
  });

  it("prints text without it, progress once a stage", () => {
    const { out, err } = printed(false, false, (output) => {
      for (let done = 0; done < 5; done++) output.progress("fitting", done, 5);
      output.result({ done: true }, () => "done\n");
    });
    expect(out).toBe("done\n");
    expect(err).toBe("fitting …\n");
  });

  it("rewrites the progress line of a terminal and clears it", () => {
    const { err } = printed(false, true, (output) => {
      output.progress("fitting", 6, 12);
      output.note("a remark");
    });
    expect(err).toContain(`[${"=".repeat(12)}${" ".repeat(12)}] 6/12`);
    expect(err.endsWith("\r\x1b[2Ka remark\n")).toBe(true);
  });

  it("estimates the time left from the pace of the work, over the details of a stage", () => {
    let [now, err] = [0, ""];
    const terminal = {
      out: () => {},
      err: (text: string) => (err = text),
      live: true,
      colour: false,
      columns: 80,
    };
    const output = new Output(terminal, false, () => now);
    const at = (seconds: number, stage: string, done: number): string => {
      now = seconds * 1000;
      output.progress(stage, done, 10);
      return err;
    };
    expect(at(0, "choosing: one form", 0)).not.toContain("left");
    expect(at(1, "choosing: another", 1)).not.toContain("left");
    expect(at(8, "choosing: a third", 4)).toContain("4/10, about 12 s left");
    expect(at(100, "choosing: a third", 5)).toContain("5/10, about 2 min left");
    expect(at(120, "choosing: the last", 10)).not.toContain("left");
    expect(at(121, "checking", 9)).not.toContain("left");
  });

  it("tells a failure on stderr, with --json also as a document", () => {
    const error = new AtPatchError("ATPATCH_BAD_BUNDLE", "it is broken");
    expect(printed(false, false, (output) => output.failure(error))).toEqual({
      out: "",
      err: "atpatch: it is broken\n",
    });
    expect(JSON.parse(printed(true, false, (output) => output.failure(error)).out)).toEqual({
      error: "it is broken",
      code: "ATPATCH_BAD_BUNDLE",
    });
  });
});

describe("format", () => {
  it("lines tables up and shows rates with their interval", () => {
    expect(
      table([
        ["a", "bb"],
        ["ccc", "d"],
      ]),
    ).toBe("  a    bb\n  ccc  d");
    expect(rateText({ value: 0.5, low: 0.4, high: 0.6 })).toBe("50.0 % [40.0, 60.0]");
    expect(rateText({ value: null, low: null, high: null })).toBe("–");
  });
});

describe("pictures", () => {
  it("draws two pixels a character and tints flagged patches", async () => {
    const { default: sharp } = await import("sharp");
    const png = await sharp({
      create: { width: 8, height: 8, channels: 3, background: { r: 0, g: 200, b: 0 } },
    })
      .png()
      .toBuffer();
    const lines = await pictureLines(png, { grid: 8, patches: [[0, 1]] });
    expect(lines).toHaveLength(16);
    expect(lines[0]!.split("▀")).toHaveLength(33);
    expect(lines[0]).toContain("38;2;0;200;0");
    expect(lines[0]!.match(/38;2;127;100;0/g)).toHaveLength(4);
    expect(lines[2]).not.toContain("127;100;0");
    const both = sideBySide([
      { lines, caption: "one" },
      { lines, caption: "two" },
    ]).split("\n");
    expect(both.at(-1)).toMatch(/^ {2}one {32}two$/);
  });
});
