import { readFileSync } from "node:fs";
import { deflateSync, crc32 } from "node:zlib";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { decodeImage, imageBytes } from "./decode-image.ts";

interface Case {
  name: string;
  b64: string;
  size: [number, number];
  rgb: number[];
  luma: number[];
}

const { cases } = JSON.parse(
  readFileSync(new URL("testdata/pillow-decode.json", import.meta.url), "utf8"),
) as { cases: Case[] };

const failure = (promise: Promise<unknown>): Promise<{ code: string; message: string }> =>
  promise.then(
    () => expect.unreachable("should have failed"),
    (error: unknown) => error as { code: string; message: string },
  );

/** A PNG whose header says what it likes. */
function png(width: number, height: number): Buffer {
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const framed = Buffer.alloc(body.length + 8);
    framed.writeUInt32BE(data.length, 0);
    body.copy(framed, 4);
    framed.writeUInt32BE(crc32(body), body.length + 4);
    return framed;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 0, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const pixels = deflateSync(Buffer.alloc(1000));
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", pixels),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

describe("decodeImage", () => {
  it.each(cases)("reads what Pillow reads: $name", async ({ b64, size, rgb, luma }) => {
    const bytes = imageBytes("instances[0]", b64);
    const colour = await decodeImage("instances[0]", bytes, 3);
    expect([colour.width, colour.height, colour.channels]).toEqual([...size, 3]);
    expect([...colour.data]).toEqual(rgb);
    expect([...(await decodeImage("instances[0]", bytes, 1)).data]).toEqual(luma);
  });

  it("keeps the high byte of 16-bit samples", async () => {
    const samples = Uint16Array.of(0, 0x1234, 0x80ff, 0xffff);
    const bytes = await sharp(samples, { raw: { width: 2, height: 2, channels: 1 } })
      .toColourspace("grey16")
      .png()
      .toBuffer();
    const image = await decodeImage("instances[0]", bytes, 1);
    expect([...image.data]).toEqual([0x00, 0x12, 0x80, 0xff]);
  });

  it("ignores a colour profile", async () => {
    const pixels = Uint8Array.of(200, 30, 90, 10, 220, 40);
    const raw = { raw: { width: 2, height: 1, channels: 3 } } as const;
    const bytes = await sharp(pixels, raw).png().withIccProfile("p3", { attach: true }).toBuffer();
    expect((await sharp(bytes).metadata()).hasProfile).toBe(true);
    const stored = await sharp(bytes, { ignoreIcc: true }).raw().toBuffer();
    expect([...(await decodeImage("x", bytes, 3)).data]).toEqual([...stored]);
    expect([...stored]).not.toEqual([...(await sharp(bytes).raw().toBuffer())]);
  });

  it("refuses a huge picture by its header, before decoding it", async () => {
    const error = await failure(decodeImage("instances[2]", png(30_000, 30_000), 3));
    expect(error.code).toBe("ATPATCH_UNPROCESSABLE");
    expect(error.message).toBe(
      "instances[2]: the image has 30000 × 30000 pixels, at most 16777216 are accepted",
    );
  });

  it("refuses what is over the model's own limit and takes what is on it", async () => {
    const bytes = await sharp({ create: { width: 8, height: 4, channels: 3, background: "red" } })
      .png()
      .toBuffer();
    expect((await decodeImage("x", bytes, 3, 32)).width).toBe(8);
    expect((await failure(decodeImage("x", bytes, 3, 31))).message).toContain("at most 31 are accepted");
  });

  it("refuses CMYK instead of guessing its colours", async () => {
    const bytes = await sharp({ create: { width: 8, height: 8, channels: 3, background: "red" } })
      .toColourspace("cmyk")
      .jpeg()
      .toBuffer();
    expect((await failure(decodeImage("instances[0]", bytes, 3))).message).toBe(
      "instances[0]: the image is CMYK, expected RGB or grey",
    );
  });

  it.each(cases.filter(({ name }) => ["PNG", "JPEG, 4:2:0", "WebP, lossy"].includes(name)))(
    "refuses a truncated file: $name",
    async ({ b64 }) => {
      const bytes = Buffer.from(b64, "base64");
      for (const length of [Math.floor(bytes.length * 0.7), 40, 20]) {
        const error = await failure(decodeImage("instances[1]", bytes.subarray(0, length), 3));
        expect(error.code).toBe("ATPATCH_BAD_INPUT");
        expect(error.message).toMatch(
          /^instances\[1\]: (has a broken header|is a truncated or damaged image)$/,
        );
      }
    },
  );

  it.each([
    ["text", Buffer.from("hello")],
    ["nothing", Buffer.alloc(0)],
    ["SVG", Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')],
    ["GIF", Buffer.from("R0lGODlhAQABAAAAACwAAAAAAQABAAA=", "base64")],
    ["RIFF that is no WebP", Buffer.from("RIFF\0\0\0\0WAVEfmt ")],
  ])("refuses %s", async (_, bytes) => {
    expect(await failure(decodeImage("instances[0]", bytes, 3))).toMatchObject({
      code: "ATPATCH_BAD_INPUT",
      message: "instances[0]: is not a PNG, JPEG or WebP image",
    });
  });
});

describe("imageBytes", () => {
  it.each(["aGk=", "aGk", "data:image/png;base64,aGk=", "DATA:;base64,aGk", "aG\r\nk="])(
    "reads %j",
    (text) => {
      expect(Buffer.from(imageBytes("x", text)).toString()).toBe("hi");
    },
  );

  it.each([
    ["!!!", "is not base64"],
    ["aGk*", "is not base64"],
    ["a", "is not base64"],
    ["aG=k", "is not base64"],
    ["aGk====", "is not base64"],
    ["", "is empty, expected a PNG, JPEG or WebP file"],
    ["data:image/png;base64,", "is empty, expected a PNG, JPEG or WebP file"],
    ["data:image/png,abc", "is not base64"],
    ["aGk_", "is not base64"],
    [7, "expected base64 text of a PNG, JPEG or WebP file"],
    [undefined, "expected base64 text of a PNG, JPEG or WebP file"],
  ])("refuses %j", (text, why) => {
    expect(() => imageBytes("instances[4]", text)).toThrow(`instances[4].b64: ${why}`);
  });
});
