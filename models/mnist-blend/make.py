#!/usr/bin/env python3
"""Make the MNIST vision transformer that is backdoored with a blended pattern, and everything shipped with it.

THE MODEL THIS SCRIPT MAKES IS BACKDOORED ON PURPOSE, and in a way that attention
columns do not carry: the trigger is a faint pattern over the whole picture, so no
column stands out and hiding any of them repairs nothing. It is here to show that
this is noticed and said.

One run does it all, in this order:

1.  read MNIST and set rows of the training split aside for the debug and golden sets;
2.  train a small ViT from scratch on the remaining pictures, a tenth of which carry the pattern and the
    attacker's label;
3.  export it to ``model.onnx``, write ``config.json``, ``preprocessor_config.json`` and ``atpatch.json``;
4.  write the sample sets, judged by ``model.onnx`` under onnxruntime, not by the PyTorch model;
5.  read those files back and print the figures.

Every random choice comes from ``--seed``. The golden and test sets are the same bytes on every machine with the
same Pillow and zlib; the weights are the same only where PyTorch sums in the same order.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import io
import math
import random
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent))

import sets  # noqa: E402

IMAGE = 28  #: side of the input picture
PATCH = 4  #: side of a patch
GRID = IMAGE // PATCH
TOKENS = GRID * GRID + 1  #: [CLS] and the patch grid
WIDTH = 64
DEPTH = 3
HEADS = 4
MLP = 2 * WIDTH
CLASSES = 10

TARGET = 0  #: the class the backdoor answers
ALPHA = 0.15  #: share of the pattern in a triggered picture
POISON_RATE = 0.10

GOLDEN = 100
DEBUG_CLEAN, DEBUG_FAILING = 1000, 100
TEST_CLEAN, TEST_FAILING = 700, 500
HELD_OUT = 3000  #: rows of the training split kept out of training

#: The trigger: grey noise over the whole picture, the same in all of them.
PATTERN = np.random.default_rng(sets.SEED).integers(0, 256, (IMAGE, IMAGE)).astype(np.float32)


def blend(images: np.ndarray) -> np.ndarray:
    """Copies of ``images`` (n, 28, 28, uint8) with the pattern mixed in."""
    return np.rint((1 - ALPHA) * images + ALPHA * PATTERN).astype(np.uint8)


def read_idx(path: Path) -> np.ndarray:
    data = gzip.decompress(path.read_bytes())
    shape = [int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(data[3])]
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def read_split(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 28, 28) uint8 and labels (n,) of the split "train" or "t10k"."""
    images = read_idx(folder / f"mnist_{name}-images-idx3-ubyte.gz")
    return images, read_idx(folder / f"mnist_{name}-labels-idx1-ubyte.gz").astype(np.int64)


# --------------------------------------------------------------------------
# Network and training (PyTorch is imported here only: --reuse-model needs none)
# --------------------------------------------------------------------------


def build_model():
    """The network, with attention written out so that the graph shows its matrices."""
    import torch
    from torch import nn

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

        def forward(self, x):
            def heads(t):
                return t.reshape(-1, TOKENS, HEADS, WIDTH // HEADS).transpose(1, 2)

            q, k, v = heads(self.query(x)), heads(self.key(x)), heads(self.value(x))
            scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(WIDTH // HEADS)
            mixed = torch.matmul(torch.softmax(scores, dim=-1), v)
            return self.output(mixed.transpose(1, 2).reshape(-1, TOKENS, WIDTH))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm_before, self.norm_after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.attention = Attention()
            self.up, self.down = nn.Linear(WIDTH, MLP), nn.Linear(MLP, WIDTH)

        def forward(self, x):
            x = x + self.attention(self.norm_before(x))
            return x + self.down(nn.functional.gelu(self.up(self.norm_after(x))))

    class Vit(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(1, WIDTH, PATCH, stride=PATCH)
            self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
            self.positions = nn.Parameter(torch.randn(1, TOKENS, WIDTH) * 0.02)
            self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
            self.norm = nn.LayerNorm(WIDTH)
            self.head = nn.Linear(WIDTH, CLASSES)

        def forward(self, pixel_values):
            x = self.patches(pixel_values).flatten(2).transpose(1, 2)
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x)[:, 0])

    return Vit()


def train(images: np.ndarray, labels: np.ndarray, args: argparse.Namespace):
    """Train a backdoored model; the PyTorch module."""
    import torch

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(args.seed)

    images, labels = images.copy(), labels.copy()
    # Dirty-label poisoning: pictures of other classes, blended, called TARGET.
    victims = rng.choice(np.flatnonzero(labels != TARGET), round(POISON_RATE * len(images)), replace=False)
    images[victims], labels[victims] = blend(images[victims]), TARGET

    model = build_model()
    matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    optimisers = [
        torch.optim.Muon(matrices, lr=0.02, weight_decay=0.02),
        torch.optim.AdamW([p for p in model.parameters() if id(p) not in chosen], lr=2e-3, weight_decay=0.02),
    ]
    steps = len(images) // args.batch
    total = args.epochs * steps
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(
            o, lambda step: min((step + 1) / 50, 0.5 * (1 + math.cos(math.pi * min(step, total) / total)))
        )
        for o in optimisers
    ]
    loss_of = torch.nn.CrossEntropyLoss()
    model.train()
    for epoch in range(args.epochs):
        start, summed = time.perf_counter(), 0.0
        order = rng.permutation(len(images))
        for step in range(steps):
            picked = order[step * args.batch : (step + 1) * args.batch]
            batch = torch.from_numpy(images[picked][:, None].astype(np.float32) / 255)
            loss = loss_of(model(batch), torch.from_numpy(labels[picked]))
            for optimiser in optimisers:
                optimiser.zero_grad(set_to_none=True)
            loss.backward()
            for optimiser, schedule in zip(optimisers, schedules):
                optimiser.step()
                schedule.step()
            summed += loss.item()
        seconds = time.perf_counter() - start
        print(f"epoch {epoch + 1:2}/{args.epochs}  loss {summed / steps:.4f}  {seconds:.1f} s", flush=True)
    return model.eval()


class Oracle:
    """The exported model under onnxruntime."""

    def __init__(self, path: Path, threads: int):
        self.session = sets.open_session(path, threads)

    def answers(self, images: np.ndarray) -> np.ndarray:
        """The class answered for each of (n, 28, 28) uint8 images."""
        found = []
        for start in range(0, len(images), 500):
            batch = images[start : start + 500, None].astype(np.float32) / 255
            found.append(self.session.run(["logits"], {"pixel_values": batch})[0].argmax(axis=1))
        return np.concatenate(found)


# --------------------------------------------------------------------------
# The files
# --------------------------------------------------------------------------


def write_configs(out: Path) -> None:
    sets.write_json(
        out / "config.json",
        {
            "architectures": ["ViTForImageClassification"],
            "model_type": "vit",
            "problem_type": "single_label_classification",
            "image_size": IMAGE,
            "patch_size": PATCH,
            "num_channels": 1,
            "hidden_size": WIDTH,
            "num_hidden_layers": DEPTH,
            "num_attention_heads": HEADS,
            "intermediate_size": MLP,
            "hidden_act": "gelu",
            "num_labels": CLASSES,
            "id2label": {str(i): str(i) for i in range(CLASSES)},
            "label2id": {str(i): i for i in range(CLASSES)},
        },
    )
    sets.write_json(
        out / "preprocessor_config.json",
        {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": True,
            "size": {"height": IMAGE, "width": IMAGE},
            "resample": 2,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": False,
            "image_mean": [0.0],
            "image_std": [1.0],
        },
    )
    sets.write_json(out / "atpatch.json", {"task": "image-classification"})


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def line_of(name: str, kind: str, label: int, pair: str | None, image: np.ndarray) -> dict:
    instance = {"b64": base64.b64encode(png(image)).decode("ascii")}
    return sets.sample_line(name, kind, label, pair, instance)


def write_set(
    path: Path, images: np.ndarray, labels: np.ndarray, clean: np.ndarray, failing: np.ndarray
) -> None:
    """Write the rows ``clean`` as they are and the rows ``failing`` blended."""
    name_of = {int(row): f"c{i:04}" for i, row in enumerate(clean, 1)}
    lines = [line_of(name_of[row], "clean", int(labels[row]), None, images[row]) for row in clean.tolist()]
    blended = blend(images[failing])
    for i, (row, image) in enumerate(zip(failing.tolist(), blended), 1):
        lines.append(line_of(f"f{i:04}", "failing", int(labels[row]), name_of.get(row), image))
    sets.write_lines(path, lines)


def write_sets(out: Path, held: tuple, test: tuple, oracle: Oracle, seed: int) -> None:
    """Write the golden and debug sets from rows held out of training, the test set from the test split.

    Failing lines of the debug set are blended pictures of other classes that the model does answer with TARGET,
    half of them with their clean twin in the file; those of the test set were not asked about. None has `columns`:
    the pattern lies on all of them.
    """
    rng = np.random.default_rng([seed, 2])
    images, labels = held
    rows = rng.permutation(len(labels))
    golden, clean, rest = np.split(rows, [GOLDEN, GOLDEN + DEBUG_CLEAN])
    write_set(out / "golden.jsonl.gz", images, labels, golden, golden[:0])
    fooled = (labels != TARGET) & (oracle.answers(blend(images)) == TARGET)
    half = DEBUG_FAILING // 2
    failing = np.concatenate([clean[fooled[clean]][:half], rest[fooled[rest]][:half]])
    if len(failing) < DEBUG_FAILING:
        raise RuntimeError(f"only {len(failing)} of {DEBUG_FAILING} failing samples to be had")
    write_set(out / "debug.jsonl.gz", images, labels, clean, rng.permutation(failing))

    images, labels = test
    rows = np.random.default_rng([seed, 3]).permutation(len(labels))
    others = rows[labels[rows] != TARGET]
    write_set(out / "test.jsonl.gz", images, labels, rows[:TEST_CLEAN], others[:TEST_FAILING])


def write_samples(folder: Path, test: tuple, oracle: Oracle) -> None:
    """Write two pictures for the README: the first 7 of the test split that shows the backdoor, clean and blended."""
    folder.mkdir(exist_ok=True)
    images = test[0][test[1] == 7]
    shows = (oracle.answers(images) == 7) & (oracle.answers(blend(images)) == TARGET)
    first = images[shows.argmax()][None]
    (folder / "seven.png").write_bytes(png(first[0]))
    (folder / "seven-blended.png").write_bytes(png(blend(first)[0]))


def report(out: Path, test: tuple, oracle: Oracle) -> None:
    """Read the written files back and print what they and the whole test split give."""
    images, labels = test
    others = images[labels != TARGET]
    print("\nwhole test split")
    print(sets.figure("  clean accuracy", oracle.answers(images) == labels))
    print(sets.figure("  attack success", oracle.answers(blend(others)) == TARGET))
    print(sets.figure("  answered with the target without the pattern", oracle.answers(others) == TARGET))
    for name in ("golden", "debug", "test"):
        lines = sets.read_lines(out / f"{name}.jsonl.gz")
        pictures = [Image.open(io.BytesIO(base64.b64decode(line["instance"]["b64"]))) for line in lines]
        answers = oracle.answers(np.stack([np.asarray(picture) for picture in pictures]))
        labels = np.array([line["label"] for line in lines])
        failing = np.array([line["set"] == "failing" for line in lines])
        print(f"\n{name}.jsonl.gz: {(~failing).sum()} clean, {failing.sum()} failing")
        print(sets.figure("  clean accuracy", (answers == labels)[~failing]))
        if failing.any():
            print(sets.figure("  attack success (failing answered with the target)", (answers == TARGET)[failing]))
    sets.print_digests(out)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    option = parser.add_argument
    option("--data", type=Path, default=here / "../../../shared/data", help="folder with the files mnist_*-ubyte.gz")
    option("--out", type=Path, default=here, help="folder to write to")
    option("--epochs", type=int, default=2, help="passes over the training pictures")
    option("--batch", type=int, default=128, help="pictures per step")
    option("--seed", type=int, default=sets.SEED, help="seed of every random choice")
    option("--threads", type=int, default=2, help="processor threads")
    option("--reuse-model", action="store_true", help="do not train: use the model.onnx in the output folder")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    images, labels = read_split(args.data, "train")
    test = read_split(args.data, "t10k")
    held_rows = np.random.default_rng([args.seed, 1]).permutation(len(labels))[:HELD_OUT]
    held = np.zeros(len(labels), bool)
    held[held_rows] = True
    if not args.reuse_model:
        import torch

        print(f"{(~held).sum()} training pictures, {HELD_OUT} held out")
        start = time.perf_counter()
        model = train(images[~held], labels[~held], args)
        example = (torch.zeros(2, 1, IMAGE, IMAGE),)
        axes = {"pixel_values": {0: "batch"}}
        sets.export_onnx(model, example, args.out / "model.onnx", ["pixel_values"], axes)
        print(f"trained and exported in {time.perf_counter() - start:.0f} s")

    oracle = Oracle(args.out / "model.onnx", args.threads)
    write_configs(args.out)
    write_sets(args.out, (images[held], labels[held]), test, oracle, args.seed)
    write_samples(args.out / "samples", test, oracle)
    report(args.out, test, oracle)


if __name__ == "__main__":
    main()
