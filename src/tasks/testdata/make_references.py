"""Makes the reference numbers of this folder.

    pip install pillow==12.3.0 numpy transformers==4.57.1
    python make_references.py

``pillow-resize.json``  what Pillow's resize makes of pseudo-random pixels (``pixels`` below, repeated in the test)
``pillow-decode.json``  small files of every format and what Pillow reads from them
``hf-processors.json``  ``preprocessor_config.json`` files, an image, and the values of the Hugging Face processor
"""

import base64
import io
import json
from pathlib import Path

import numpy as np
import PIL
import transformers
from PIL import Image, ImageOps

here = Path(__file__).parent


def pixels(width: int, height: int, channels: int, seed: int) -> np.ndarray:
    out = np.zeros(width * height * channels, np.uint8)
    state = seed
    for i in range(len(out)):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out[i] = state >> 24
    return out.reshape(height, width, channels)


def smooth(width: int, height: int, channels: int, seed: int) -> np.ndarray:
    """Pixels that look a little like a photograph: lossy formats change them little."""
    coarse = pixels(width // 4 + 2, height // 4 + 2, channels, seed)
    planes = [Image.fromarray(coarse[..., c]).resize((width, height), Image.BICUBIC) for c in range(channels)]
    return np.stack([np.array(plane) for plane in planes], -1)


def write(name: str, value: object) -> None:
    (here / name).write_text(json.dumps(value, separators=(",", ":")) + "\n")


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def resize_cases() -> list[dict]:
    names = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
    sizes = [(7, 5, 3, 4), (5, 7, 9, 8), (16, 16, 8, 8), (23, 17, 5, 11), (3, 3, 8, 2), (1, 9, 4, 4)]
    sizes += [(10, 10, 10, 4), (10, 10, 4, 10), (40, 33, 1, 1)]
    cases = []
    for from_width, from_height, width, height in sizes:
        for code, name in enumerate(names):
            for channels in (1, 3):
                seed = from_width * 1000 + from_height * 10 + channels
                source = pixels(from_width, from_height, channels, seed)
                image = Image.fromarray(source if channels == 3 else source[:, :, 0])
                resized = np.array(image.resize((width, height), resample=code))
                cases.append(
                    {
                        "filter": name,
                        "from": [from_width, from_height],
                        "to": [width, height],
                        "channels": channels,
                        "seed": seed,
                        "expected": resized.reshape(-1).tolist(),
                    }
                )
    return cases


def decode_cases() -> list[dict]:
    rgb = Image.fromarray(smooth(9, 7, 3, 1))
    rgba = Image.fromarray(smooth(9, 7, 4, 2))
    turned = Image.Exif()
    turned[0x112] = 6
    mirrored = Image.Exif()
    mirrored[0x112] = 5
    files = {
        "PNG": encode(rgb, "PNG"),
        "PNG, grey": encode(rgb.convert("L"), "PNG"),
        "PNG, alpha": encode(rgba, "PNG"),
        "PNG, grey with alpha": encode(rgba.convert("LA"), "PNG"),
        "PNG, palette": encode(rgb.quantize(16), "PNG"),
        "PNG, palette with transparency": encode(rgb.quantize(16), "PNG", transparency=3),
        "PNG, one bit": encode(rgb.convert("1"), "PNG"),
        "PNG, turned by EXIF": encode(rgb, "PNG", exif=turned),
        "JPEG, 4:2:0": encode(rgb, "JPEG", quality=90),
        "JPEG, 4:4:4": encode(rgb, "JPEG", quality=90, subsampling=0),
        "JPEG, progressive": encode(rgb, "JPEG", quality=60, progressive=True),
        "JPEG, grey": encode(rgb.convert("L"), "JPEG"),
        "JPEG, turned by EXIF": encode(rgb, "JPEG", exif=turned),
        "JPEG, mirrored by EXIF": encode(rgb, "JPEG", exif=mirrored),
        "WebP, lossy": encode(rgb, "WEBP", quality=80),
        "WebP, lossless": encode(rgb, "WEBP", lossless=True),
        "WebP, alpha": encode(rgba, "WEBP", lossless=True, exact=True),
    }
    cases = []
    for name, data in files.items():
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        cases.append(
            {
                "name": name,
                "b64": base64.b64encode(data).decode("ascii"),
                "size": list(image.size),
                "rgb": np.array(image.convert("RGB")).reshape(-1).tolist(),
                "luma": np.array(image.convert("L")).reshape(-1).tolist(),
            }
        )
    return cases


def processor_cases() -> list[dict]:
    image_net = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
    processors = [
        transformers.ViTImageProcessor(size={"height": 5, "width": 6}),
        transformers.ViTImageProcessor(size={"height": 8, "width": 8}, resample=3, **image_net),
        transformers.ViTImageProcessor(size={"height": 8, "width": 8}, do_normalize=False),
        transformers.ViTImageProcessor(size={"height": 4, "width": 4}, do_rescale=False, do_normalize=False),
        transformers.ViTImageProcessor(do_resize=False, do_rescale=False, image_mean=[120.5] * 3, image_std=[60] * 3),
        transformers.DeiTImageProcessor(size={"height": 9, "width": 9}, crop_size={"height": 6, "width": 6}),
        transformers.CLIPImageProcessor(size={"shortest_edge": 7}, crop_size={"height": 6, "width": 6}),
        transformers.CLIPImageProcessor(size={"shortest_edge": 5}, crop_size={"height": 8, "width": 7}),
        transformers.BitImageProcessor(size={"shortest_edge": 6}, crop_size={"height": 6, "width": 8}, resample=1),
        transformers.ConvNextImageProcessor(size={"shortest_edge": 6}),
        transformers.MobileViTImageProcessor(size={"shortest_edge": 6}, crop_size={"height": 6, "width": 6}),
        transformers.SiglipImageProcessor(size={"height": 6, "width": 5}),
    ]
    images = [Image.fromarray(smooth(17, 13, 3, 3)), Image.fromarray(smooth(11, 18, 3, 4))]
    cases = []
    for i, processor in enumerate(processors):
        image = images[i % 2]
        values = processor(image, return_tensors="np")["pixel_values"][0].astype(np.float32)
        config = {k: v for k, v in json.loads(processor.to_json_string()).items() if not k.startswith("_")}
        cases.append(
            {
                "config": config,
                "b64": base64.b64encode(encode(image, "PNG")).decode("ascii"),
                "shape": list(values.shape),
                # float32 written with nine digits comes back exactly.
                "expected": [float(f"{v:.9g}") for v in values.reshape(-1)],
            }
        )
    return cases


write("pillow-resize.json", {"pillow": PIL.__version__, "cases": resize_cases()})
write("pillow-decode.json", {"pillow": PIL.__version__, "cases": decode_cases()})
write("hf-processors.json", {"transformers": transformers.__version__, "cases": processor_cases()})
