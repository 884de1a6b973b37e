import { describe, expect, it } from "vitest";
import { parseImageProcessor } from "./image-processor.ts";
import { centerCrop, resizedSize } from "./preprocess-image.ts";

describe("parseImageProcessor", () => {
  it("fills in what old files leave out, by family", () => {
    expect(parseImageProcessor({})).toEqual({
      resize: { to: { height: 224, width: 224 } },
      filter: "bilinear",
      crop: null,
      flipChannels: false,
      rescale: 1 / 255,
      normalize: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
    });
    expect(
      parseImageProcessor({ feature_extractor_type: "CLIPFeatureExtractor", size: 30, crop_size: 28 }),
    ).toMatchObject({
      resize: { shortestEdge: 30 },
      filter: "bicubic",
      crop: { height: 28, width: 28 },
      normalize: { mean: [0.48145466, 0.4578275, 0.40821073] },
    });
    expect(parseImageProcessor({ image_processor_type: "DeiTImageProcessorFast", size: 99 })).toMatchObject({
      resize: { to: { height: 99, width: 99 } },
      crop: { height: 224, width: 224 },
    });
  });

  it("resizes ConvNext's way: by percent and crop below 384, to the whole above", () => {
    const type = { image_processor_type: "ConvNextImageProcessor" };
    expect(parseImageProcessor({ ...type, size: { shortest_edge: 224 } })).toMatchObject({
      resize: { shortestEdge: 256 },
      crop: { height: 224, width: 224 },
    });
    expect(parseImageProcessor(type)).toMatchObject({
      resize: { to: { height: 384, width: 384 } },
      crop: null,
    });
  });

  it("takes null as not given, as the libraries write it", () => {
    expect(
      parseImageProcessor({ do_center_crop: null, crop_size: null, do_convert_rgb: null, size: null }),
    ).toEqual(parseImageProcessor({}));
  });

  it("lists every key that cannot be honoured", () => {
    const read = (): unknown =>
      parseImageProcessor({
        resample: 9,
        size: { height: 0, width: 4 },
        do_rescale: "yes",
        do_normalize: true,
        image_mean: [1, 2],
        image_std: [0.5, 0, 0.5],
        do_pad: true,
        do_thumbnail: false,
        rescale_offset: true,
        crop_pct: 0.9,
      });
    for (const fault of [
      "preprocessor_config.json: ",
      "resample: must be one of Pillow's codes 0 to 5",
      "size: must be a number, a height and width or a shortest_edge, each from 1 to 16384",
      "do_rescale: must be true or false",
      "image_mean: must be a number for each of 3 channels, or one for all",
      "image_std: must not be 0",
      "do_pad: this step is not supported",
      "rescale_offset: is not supported",
      "crop_pct: is not supported",
    ]) {
      expect(read).toThrow(fault);
    }
    expect(read).not.toThrow("do_thumbnail");
  });

  it("refuses families with steps of their own, and asks unknown ones for everything", () => {
    expect(() => parseImageProcessor({ image_processor_type: "LevitImageProcessor" })).toThrow(
      "image_processor_type: LevitImageProcessor is not supported",
    );
    expect(() =>
      parseImageProcessor({ image_processor_type: "NewImageProcessor", do_resize: false }),
    ).toThrow("do_rescale: must be true or false; do_normalize: must be true or false");
  });
});

describe("resizedSize", () => {
  it.each([
    [
      { width: 640, height: 480 },
      { width: 298, height: 224 },
    ],
    [
      { width: 480, height: 640 },
      { width: 224, height: 298 },
    ],
    [
      { width: 7, height: 7 },
      { width: 224, height: 224 },
    ],
  ])("keeps the ratio of %j, rounded down", (from, to) => {
    expect(resizedSize(from, { shortestEdge: 224 })).toEqual(to);
  });
});

describe("centerCrop", () => {
  it("cuts the middle, or surrounds with black", () => {
    const image = { width: 3, height: 2, channels: 1, data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    expect([...centerCrop(image, { width: 1, height: 1 }).data]).toEqual([2]);
    expect([...centerCrop(image, { width: 2, height: 3 }).data]).toEqual([0, 0, 1, 2, 4, 5]);
    expect([...centerCrop(image, { width: 5, height: 2 }).data]).toEqual([0, 1, 2, 3, 0, 0, 4, 5, 6, 0]);
  });
});
