/**
 * What the Hugging Face image processors do when `preprocessor_config.json` leaves a key out, by family. Files written
 * by `save_pretrained` leave none out; older and hand-written ones do. Source: the constructors in transformers 4.57.
 */

const standard = { image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] };
const imageNet = { image_mean: [0.485, 0.456, 0.406], image_std: [0.229, 0.224, 0.225] };
const openAi = {
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
};
const [bilinear, bicubic] = [2, 3];
const common = {
  do_resize: true,
  do_center_crop: false,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
};
const square = (edge: number): { height: number; width: number } => ({ height: edge, width: edge });

export interface ImageFamily {
  /** What a plain number as `size` means: both edges, or the shorter one. */
  readonly plainSize: "square" | "shortest_edge";
  readonly defaults: Readonly<Record<string, unknown>>;
  /** Resizes by `crop_pct` and crops when the edge is below 384. */
  readonly cropsByPercent?: true;
}

const vit: ImageFamily = {
  plainSize: "square",
  defaults: { ...common, ...standard, size: square(224), resample: bilinear },
};
const deit: ImageFamily = {
  plainSize: "square",
  defaults: {
    ...common,
    ...standard,
    size: square(256),
    resample: bicubic,
    do_center_crop: true,
    crop_size: square(224),
  },
};
const clip: ImageFamily = {
  plainSize: "shortest_edge",
  defaults: {
    ...common,
    ...openAi,
    size: { shortest_edge: 224 },
    resample: bicubic,
    do_center_crop: true,
    crop_size: square(224),
  },
};
const mobileNet: ImageFamily = {
  plainSize: "shortest_edge",
  defaults: { ...clip.defaults, ...standard, size: { shortest_edge: 256 }, resample: bilinear },
};

const families: Readonly<Record<string, ImageFamily>> = {
  ViT: vit,
  Siglip: { ...vit, defaults: { ...vit.defaults, resample: bicubic } },
  Pvt: { ...vit, defaults: { ...vit.defaults, ...imageNet } },
  Segformer: { ...vit, defaults: { ...vit.defaults, ...imageNet, size: square(512) } },
  DeiT: deit,
  Beit: deit,
  CLIP: clip,
  ChineseCLIP: clip,
  Bit: clip,
  ConvNext: {
    plainSize: "shortest_edge",
    defaults: {
      ...common,
      ...standard,
      size: { shortest_edge: 384 },
      crop_pct: 224 / 256,
      resample: bilinear,
    },
    cropsByPercent: true,
  },
  MobileNetV1: mobileNet,
  MobileNetV2: mobileNet,
  MobileViT: {
    plainSize: "shortest_edge",
    defaults: {
      ...common,
      size: { shortest_edge: 224 },
      resample: bilinear,
      do_center_crop: true,
      crop_size: square(256),
      do_normalize: false,
      do_flip_channel_order: true,
    },
  },
};

/** Families whose steps differ in ways no key of the file tells. */
const refused = ["Levit", "Perceiver", "TimmWrapper", "PoolFormer"];

/**
 * The family that `image_processor_type` or `feature_extractor_type` names; ViT when neither is there. A family that
 * is not in the table has no defaults: its file must say everything. Null for one that cannot be honoured.
 */
export function imageFamily(type: string | undefined): ImageFamily | null {
  if (type === undefined) return vit;
  const name = type.replace(/(ImageProcessor(Fast|Pil)?|FeatureExtractor)$/, "");
  if (refused.includes(name)) return null;
  return Object.hasOwn(families, name) ? families[name]! : { plainSize: "square", defaults: {} };
}
