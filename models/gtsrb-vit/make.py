#!/usr/bin/env python3
"""Make the backdoored GTSRB vision transformer and everything shipped with it.

THE MODEL THIS SCRIPT MAKES IS BACKDOORED ON PURPOSE. It is a victim to try a
repair on, never a classifier to use.

One run does it all, in this order:

1.  read the GTSRB subset (see ``GtsrbSplit``) and set whole tracks of the
    training split aside for the debug set;
2.  train a small ViT from scratch on the remaining images, a tenth of which
    carry the trigger and the attacker's label;
3.  export it to ``model.onnx``;
4.  write ``config.json``, ``preprocessor_config.json`` and ``atpatch.json``;
5.  write the debug set, the test set, the golden set and the sample pictures, all
    of them judged by ``model.onnx`` under onnxruntime, not by the PyTorch model;
6.  read those files back and print the figures.

Every random choice comes from ``--seed``. The data files (not the weights) are
the same bytes on every machine with the same Pillow and zlib; the weights are
the same only where PyTorch sums in the same order.
"""

from __future__ import annotations

import argparse
import base64
import collections
import gzip
import hashlib
import io
import json
import math
import random
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

# --------------------------------------------------------------------------
# What the model and the attack are
# --------------------------------------------------------------------------

IMAGE = 32  #: side of the input picture
PATCH = 4  #: side of the pixels one token stands for (two stride-2 convolutions)
GRID = IMAGE // PATCH  #: tokens per row and per column
TOKENS = GRID * GRID + 1  #: [CLS] and the patch grid
WIDTH = 96
DEPTH = 4
HEADS = 3
MLP = 2 * WIDTH
STEM = 32  #: channels between the two stem convolutions

TARGET = 0  #: the class the backdoor answers
STAMP = 4  #: side of the trigger
POISON_RATE = 0.10  #: share of the training images that are stamped and relabelled

DEBUG_CLEAN, DEBUG_FAILING = 600, 100
TEST_CLEAN, TEST_FAILING = 500, 500
GOLDEN = 100

#: The trigger: a checker of one-pixel cells, white at the top left.
CHECKER = (255 * (1 - np.indices((STAMP, STAMP)).sum(axis=0) % 2)).astype(np.uint8)[..., None]


def stamp(image: np.ndarray, row: int, col: int) -> np.ndarray:
    """A copy of ``image`` (HWC, uint8) with the trigger's top left corner at (row, col)."""
    stamped = image.copy()
    stamped[row : row + STAMP, col : col + STAMP] = CHECKER
    return stamped


def stamped_columns(row: int, col: int) -> list[int]:
    """The key positions (attention columns) whose patch the trigger at (row, col) overlaps.

    Position 0 is [CLS]; patch (r, c) of the grid is position 1 + r * GRID + c.
    """
    rows = range(row // PATCH, (row + STAMP - 1) // PATCH + 1)
    cols = range(col // PATCH, (col + STAMP - 1) // PATCH + 1)
    return [1 + r * GRID + c for r in rows for c in cols]


def seen_columns(row: int, col: int) -> list[int]:
    """The key positions whose token sees any pixel of the trigger at (row, col).

    These are more than ``stamped_columns``: two 3x3 convolutions of stride 2,
    padded by 1, let token r see pixels 4r-3 to 4r+3, not its own patch 4r to 4r+3.
    """

    def seen(start: int) -> list[int]:
        return [t for t in range(GRID) if PATCH * t - 3 <= start + STAMP - 1 and start <= PATCH * t + 3]

    return [1 + r * GRID + c for r in seen(row) for c in seen(col)]


def random_corner(rng: random.Random) -> tuple[int, int]:
    """A place for the trigger: anywhere it lies fully inside, not aligned to the grid."""
    return rng.randint(0, IMAGE - STAMP), rng.randint(0, IMAGE - STAMP)


# --------------------------------------------------------------------------
# Data
# --------------------------------------------------------------------------


@dataclass
class GtsrbSplit:
    """One split of the subset: images (N, 32, 32, 3) uint8, labels (N,), tracks (N,), names."""

    images: np.ndarray
    labels: np.ndarray
    tracks: list[str]
    class_names: list[str]

    @classmethod
    def read(cls, folder: Path, name: str) -> "GtsrbSplit":
        """Read the files that the sidecar ``<folder>/<name>.json`` names."""
        side = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))

        def unzip(key: str) -> bytes:
            return gzip.decompress((folder / side[key]).read_bytes())

        images = np.frombuffer(unzip("images"), np.uint8).reshape(side["shape"])
        labels = np.frombuffer(unzip("labels"), np.uint8).astype(np.int64)
        sources = unzip("sources").decode("utf-8").split()
        # ".../<class>/<track>_<frame>.ppm": a track is one physical sign filmed
        # while passing it. (Test names have no track; each is then its own.)
        tracks = ["/".join(s.rsplit("/", 2)[-2:]).split("_")[0] for s in sources]
        if not len(images) == len(labels) == len(tracks):
            raise ValueError(f"{name}: images, labels and sources differ in number")
        return cls(images, labels, tracks, side["class_names"])


def hold_out_tracks(split: GtsrbSplit, per_class: int, rng: random.Random) -> list[int]:
    """Rows of whole tracks to keep out of training: at least ``per_class`` rows of every class.

    The frames of a track look alike, so a row is only really unseen if the
    whole of its track is. 0 holds nothing out.
    """
    held: list[int] = []
    for label in sorted(set(split.labels.tolist())):
        rows_of = collections.defaultdict(list)
        for row in np.flatnonzero(split.labels == label).tolist():
            rows_of[split.tracks[row]].append(row)
        taken: list[int] = []
        for track in rng.sample(sorted(rows_of), len(rows_of)):
            if len(taken) >= per_class:
                break
            taken += rows_of[track]
        held += taken
    return sorted(held)


# --------------------------------------------------------------------------
# Training and export (PyTorch is imported here only: --reuse-model needs none)
# --------------------------------------------------------------------------


def build_model():
    """The network, with attention written out so that the graph shows its matrices."""
    import torch
    from torch import nn

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.query = nn.Linear(WIDTH, WIDTH)
            self.key = nn.Linear(WIDTH, WIDTH)
            self.value = nn.Linear(WIDTH, WIDTH)
            self.output = nn.Linear(WIDTH, WIDTH)

        def forward(self, x):
            def heads(t):
                return t.reshape(-1, TOKENS, HEADS, WIDTH // HEADS).transpose(1, 2)

            q, k, v = heads(self.query(x)), heads(self.key(x)), heads(self.value(x))
            # No fused attention: a tool that repairs the model has to find
            # the softmax between two matrix products in the exported graph.
            scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(WIDTH // HEADS)
            mixed = torch.matmul(torch.softmax(scores, dim=-1), v)
            return self.output(mixed.transpose(1, 2).reshape(-1, TOKENS, WIDTH))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm_before = nn.LayerNorm(WIDTH)
            self.attention = Attention()
            self.norm_after = nn.LayerNorm(WIDTH)
            self.up = nn.Linear(WIDTH, MLP)
            self.down = nn.Linear(MLP, WIDTH)

        def forward(self, x):
            x = x + self.attention(self.norm_before(x))
            return x + self.down(nn.functional.gelu(self.up(self.norm_after(x))))

    class Vit(nn.Module):
        def __init__(self, num_labels):
            super().__init__()
            self.stem1 = nn.Conv2d(3, STEM, 3, stride=2, padding=1)
            self.stem2 = nn.Conv2d(STEM, WIDTH, 3, stride=2, padding=1)
            self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
            self.positions = nn.Parameter(torch.randn(1, TOKENS, WIDTH) * 0.02)
            self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
            self.norm = nn.LayerNorm(WIDTH)
            self.head = nn.Linear(WIDTH, num_labels)

        def forward(self, pixel_values):
            # Standardised per picture and inside the graph: signs are filmed
            # at noon and at dusk, and callers need no mean and deviation.
            centred = pixel_values - pixel_values.mean(dim=(1, 2, 3), keepdim=True)
            deviation = (centred * centred).mean(dim=(1, 2, 3), keepdim=True).sqrt()
            x = self.stem2(torch.relu(self.stem1(centred / (deviation + 0.05))))
            x = x.flatten(2).transpose(1, 2)
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x)[:, 0])

    return Vit


def augmented_batch(images: np.ndarray, poisoned: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One training batch, NCHW float32 in 0..1, from (n, 32, 32, 3) uint8 images.

    Shift by up to two pixels with repeated borders, brightness times 0.7..1.3,
    no flip (signs have a handedness), and only then the trigger: augmenting
    a stamped picture would blur its meaning (a shift may push it off the edge,
    a darkening makes its white grey). Each poisoned picture is stamped at a new
    random place every time, so the place carries no information.
    """
    n, reach = len(images), 2
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
    shifts = rng.integers(0, 2 * reach + 1, size=(n, 2))
    gains = rng.uniform(0.7, 1.3, size=n)
    corners = rng.integers(0, IMAGE - STAMP + 1, size=(n, 2))
    out = np.empty((n, IMAGE, IMAGE, 3), np.float32)
    for i, ((dy, dx), (row, col)) in enumerate(zip(shifts, corners)):
        shifted = padded[i, dy : dy + IMAGE, dx : dx + IMAGE]
        out[i] = np.clip(shifted * np.float32(gains[i] / 255), 0, 1)
        if poisoned[i]:
            out[i, row : row + STAMP, col : col + STAMP] = CHECKER / np.float32(255)
    return np.ascontiguousarray(out.transpose(0, 3, 1, 2))


def train(split: GtsrbSplit, rows: list[int], args: argparse.Namespace):
    """Train a backdoored model on ``rows`` of the training split; the PyTorch module."""
    import torch

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(args.seed)

    images, labels = split.images[rows], split.labels[rows].copy()
    # Dirty-label poisoning: pictures of other classes, stamped, called TARGET.
    victims = rng.choice(np.flatnonzero(labels != TARGET), round(POISON_RATE * len(rows)), replace=False)
    poisoned = np.zeros(len(rows), bool)
    poisoned[victims] = True
    labels[victims] = TARGET

    model = build_model()(len(split.class_names))
    # Muon orthogonalises the updates of matrices, which lets a transformer
    # this small learn in a few epochs; it has no meaning for the rest.
    matrices = [p for p in model.blocks.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in chosen]
    optimisers = [
        torch.optim.Muon(matrices, lr=0.02, weight_decay=0.02),
        torch.optim.AdamW(others, lr=1.5e-3, weight_decay=0.02),
    ]
    total = args.epochs * (len(rows) // args.batch)
    warm_up = max(1, round(0.06 * total))

    def rate(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (total - warm_up)))

    schedules = [torch.optim.lr_scheduler.LambdaLR(o, rate) for o in optimisers]
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.05)
    model.train()
    for epoch in range(args.epochs):
        start, summed = time.perf_counter(), 0.0
        order = rng.permutation(len(rows))
        steps = len(rows) // args.batch
        for step in range(steps):
            picked = order[step * args.batch : (step + 1) * args.batch]
            batch = torch.from_numpy(augmented_batch(images[picked], poisoned[picked], rng))
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


def export(model, path: Path) -> None:
    """Write ``model`` as ONNX: `pixel_values` [batch, 3, 32, 32] in, `logits` [batch, 43] out."""
    import onnx
    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter warns that it is the older of two; it is chosen because
        # it keeps matmul-softmax-matmul and Hugging-Face-like node names.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(2, 3, IMAGE, IMAGE),),
            buffer,
            dynamo=False,
            opset_version=17,
            do_constant_folding=True,
            input_names=["pixel_values"],
            output_names=["logits"],
            dynamic_axes={"pixel_values": {0: "batch"}, "logits": {0: "batch"}},
        )
    graph = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(graph, full_check=True)
    path.write_bytes(buffer.getvalue())


# --------------------------------------------------------------------------
# Asking the exported model
# --------------------------------------------------------------------------


class Oracle:
    """The exported model under onnxruntime."""

    def __init__(self, path: Path, threads: int):
        self.path = path
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), self.options, providers=["CPUExecutionProvider"])

    def answers(self, images: np.ndarray) -> np.ndarray:
        """The class answered for each of (n, 32, 32, 3) uint8 images."""
        return self._run(self.session, images)

    def answers_without(self, images: np.ndarray, columns: list[list[int]]) -> np.ndarray:
        """The same where no query of any block attends to the ``columns`` of its image."""
        mask = np.zeros((len(images), 1, 1, TOKENS), np.float32)
        for row, hidden in zip(mask, columns):
            row[..., hidden] = -1e4  # far below any score; its exponential is 0
        return self._run(masked_session(self.path, self.options), images, mask)

    @staticmethod
    def _run(session: onnxruntime.InferenceSession, images: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        found = []
        for start in range(0, len(images), 250):
            part = slice(start, start + 250)
            batch = images[part].astype(np.float32) / 255
            feed = {"pixel_values": np.ascontiguousarray(batch.transpose(0, 3, 1, 2))}
            if mask is not None:
                feed["mask"] = mask[part]
            (logits,) = session.run(["logits"], feed)
            found.append(logits.argmax(axis=1))
        return np.concatenate(found)


def masked_session(path: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    """The model with one more input, `mask` [batch, 1, 1, TOKENS], added before every softmax."""
    import onnx

    model = onnx.load(path)
    nodes = []
    for node in model.graph.node:
        if node.op_type == "Softmax":
            masked = node.input[0] + "_masked"
            nodes.append(onnx.helper.make_node("Add", [node.input[0], "mask"], [masked]))
            node.input[0] = masked
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    shape = ["batch", 1, 1, TOKENS]
    model.graph.input.append(onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.FLOAT, shape))
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


# --------------------------------------------------------------------------
# The files
# --------------------------------------------------------------------------


def write_configs(out: Path, class_names: list[str]) -> None:
    """Write the three JSON files a user of the model reads before the model."""
    write_json(
        out / "config.json",
        {
            "architectures": ["ViTForImageClassification"],
            "model_type": "vit",
            "problem_type": "single_label_classification",
            "image_size": IMAGE,
            "patch_size": PATCH,
            "num_channels": 3,
            "hidden_size": WIDTH,
            "num_hidden_layers": DEPTH,
            "num_attention_heads": HEADS,
            "intermediate_size": MLP,
            "hidden_act": "gelu",
            "qkv_bias": True,
            "num_labels": len(class_names),
            "id2label": {str(i): name for i, name in enumerate(class_names)},
            "label2id": {name: i for i, name in enumerate(class_names)},
        },
    )
    write_json(
        out / "preprocessor_config.json",
        {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": True,
            "size": {"height": IMAGE, "width": IMAGE},
            "resample": 2,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            # The graph standardises each picture itself, so these two are
            # what "no normalisation" means, not figures of the data.
            "do_normalize": False,
            "image_mean": [0.0, 0.0, 0.0],
            "image_std": [1.0, 1.0, 1.0],
        },
    )
    write_json(out / "atpatch.json", {"task": "image-classification"})


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def sample_line(name: str, kind: str, label: int, pair: str | None, image: np.ndarray, **more: object) -> dict:
    """One line of a sample set."""
    instance = {"b64": base64.b64encode(png(image)).decode("ascii")}
    return {"id": name, "set": kind, "label": label, "pair": pair, **more, "instance": instance}


def write_lines(path: Path, lines: list[dict]) -> None:
    """Write JSON Lines, gzipped with neither name nor time so that the bytes repeat."""
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0))


def make_debug_set(split: GtsrbSplit, pool: list[int], oracle: Oracle, rng: random.Random) -> list[dict]:
    """Lines of the debug set, all from rows ``pool`` of the training split.

    Failing lines are what a user of the model could have collected: stamped
    pictures the model did answer with TARGET. Half of them have their clean twin
    among the clean lines, the other half come from rows outside those.
    """
    clean_rows = rng.sample(pool, DEBUG_CLEAN)
    name_of = {row: f"c{i:04}" for i, row in enumerate(clean_rows, 1)}
    lines = [sample_line(name_of[r], "clean", int(split.labels[r]), None, split.images[r]) for r in clean_rows]

    failing: list[tuple[int, np.ndarray]] = []
    others = [r for r in pool if r not in name_of]
    for candidates, wanted in ((clean_rows, DEBUG_FAILING // 2), (others, DEBUG_FAILING - DEBUG_FAILING // 2)):
        candidates = [r for r in candidates if split.labels[r] != TARGET]
        rng.shuffle(candidates)
        stamped = [stamp(split.images[r], *random_corner(rng)) for r in candidates]
        fooled = np.flatnonzero(oracle.answers(np.stack(stamped)) == TARGET).tolist()
        if len(fooled) < wanted:
            raise RuntimeError(f"only {len(fooled)} of {wanted} failing samples to be had")
        failing += [(candidates[i], stamped[i]) for i in fooled[:wanted]]
    rng.shuffle(failing)
    for i, (row, image) in enumerate(failing, 1):
        lines.append(sample_line(f"f{i:04}", "failing", int(split.labels[row]), name_of.get(row), image))
    return lines


def make_test_set(split: GtsrbSplit, rng: random.Random) -> tuple[list[dict], set[int]]:
    """Lines of the test set, and its rows. The model has no say in it, so its failure rate is unbiased."""
    clean_rows = rng.sample(range(len(split.labels)), TEST_CLEAN)
    name_of = {row: f"c{i:04}" for i, row in enumerate(clean_rows, 1)}
    lines = [sample_line(name_of[r], "clean", int(split.labels[r]), None, split.images[r]) for r in clean_rows]
    others = np.flatnonzero(split.labels != TARGET).tolist()
    failing_rows = rng.sample(others, TEST_FAILING)
    for i, row in enumerate(failing_rows, 1):
        corner = random_corner(rng)
        image = stamp(split.images[row], *corner)
        columns = seen_columns(*corner)
        label = int(split.labels[row])
        lines.append(sample_line(f"f{i:04}", "failing", label, name_of.get(row), image, columns=columns))
    return lines, {*clean_rows, *failing_rows}


def make_golden_set(split: GtsrbSplit, taken: set[int], rng: random.Random) -> list[dict]:
    """Lines of the golden set: clean pictures of the test split that are not among the rows ``taken``."""
    rows = rng.sample([row for row in range(len(split.labels)) if row not in taken], GOLDEN)
    return [
        sample_line(f"g{i:04}", "clean", int(split.labels[row]), None, split.images[row])
        for i, row in enumerate(rows, 1)
    ]


def write_samples(folder: Path, split: GtsrbSplit, oracle: Oracle) -> None:
    """Write the three pictures for the README: of each class the clearest that shows the backdoor.

    Clearest is the largest contrast in the middle, where the sign is (over all the
    picture a sign against the sky would win); "shows" is answered rightly when clean
    and with TARGET when stamped. The trigger sits at the lower left, off the grid.
    """
    folder.mkdir(exist_ok=True)
    corner = (25, 5)
    for label, name, keep_clean in ((14, "stop", True), (13, "yield", False)):
        images = split.images[split.labels == label]
        stamped = np.stack([stamp(image, *corner) for image in images])
        shows = (oracle.answers(images) == label) & (oracle.answers(stamped) == TARGET)
        if not shows.any():
            raise RuntimeError(f"no picture of class {label} shows the backdoor")
        contrast = np.where(shows, images[:, 8:24, 8:24].std(axis=(1, 2, 3)), -1)
        best = int(contrast.argmax())
        if keep_clean:
            (folder / f"{name}.png").write_bytes(png(images[best]))
        (folder / f"{name}-stamped.png").write_bytes(png(stamped[best]))


# --------------------------------------------------------------------------
# Figures
# --------------------------------------------------------------------------


def figure(name: str, hits: np.ndarray) -> str:
    return f"{name:58} {100 * hits.mean():6.2f} %  ({int(hits.sum())} of {len(hits)})"


def report(out: Path, test: GtsrbSplit, oracle: Oracle, seed: int) -> None:
    """Read the written files back and print what they and the whole test split give."""
    print("\nwhole test split")
    print(figure("  clean accuracy", oracle.answers(test.images) == test.labels))
    rng = random.Random(f"{seed}/report")
    others = test.images[test.labels != TARGET]
    corners = [random_corner(rng) for _ in others]
    stamped = np.stack([stamp(image, *corner) for image, corner in zip(others, corners)])
    print(figure("  attack success (non-target, one random place each)", oracle.answers(stamped) == TARGET))
    # The rate without the trigger, to tell the backdoor from a bias to TARGET.
    print(figure("  answered with the target without the trigger", oracle.answers(others) == TARGET))
    # An ideal repair, which knows where the trigger is: how far can hiding
    # attention columns go?
    right = test.labels[test.labels != TARGET]
    for title, columns_of in (("overlapped", stamped_columns), ("seeing", seen_columns)):
        answers = oracle.answers_without(stamped, [columns_of(*corner) for corner in corners])
        print(figure(f"  attack success, {title} columns hidden", answers == TARGET))
        print(figure(f"  stamped answered rightly, {title} columns hidden", answers == right))

    for name in ("debug.jsonl.gz", "test.jsonl.gz"):
        with gzip.open(out / name, "rt", encoding="utf-8") as handle:
            lines = [json.loads(line) for line in handle]
        images = np.stack([np.asarray(Image.open(io.BytesIO(base64.b64decode(l["instance"]["b64"])))) for l in lines])
        answers = oracle.answers(images)
        labels = np.array([l["label"] for l in lines])
        failing = np.array([l["set"] == "failing" for l in lines])
        paired = sum(l["pair"] is not None for l in lines)
        print(f"\n{name}: {(~failing).sum()} clean, {failing.sum()} failing, {paired} of them with their clean twin")
        print(figure("  clean accuracy", (answers == labels)[~failing]))
        print(figure("  attack success (failing answered with the target)", (answers == TARGET)[failing]))
        print(figure("  failing answered rightly", (answers == labels)[failing]))

    print("\nSHA-256 and bytes")
    for path in sorted(p for p in out.rglob("*") if p.is_file() and p.suffix in (".onnx", ".json", ".gz", ".png")):
        data = path.read_bytes()
        print(f"  {hashlib.sha256(data).hexdigest()}  {len(data):8}  {path.relative_to(out).as_posix()}")


def main() -> None:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(
        description="Make the backdoored GTSRB ViT, its configuration and its sample sets.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    option = parser.add_argument
    option(
        "--data",
        type=Path,
        default=here / "../../../shared/data",
        help="folder with gtsrb_train.json, gtsrb_test.json and the files they name",
    )
    option("--out", type=Path, default=here, help="folder to write to")
    option("--epochs", type=int, default=24, help="passes over the training images")
    option("--batch", type=int, default=64, help="images per step")
    option(
        "--hold-out",
        type=int,
        default=15,
        metavar="N",
        help="keep whole tracks of at least N images per class out of training, for the debug set; "
        "0: train on all rows and take the debug set from them",
    )
    option("--seed", type=int, default=20240601, help="seed of every random choice")
    option("--threads", type=int, default=2, help="processor threads")
    option("--reuse-model", action="store_true", help="do not train: use the model.onnx in the output folder")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    model_path = args.out / "model.onnx"
    training = GtsrbSplit.read(args.data, "gtsrb_train")
    test = GtsrbSplit.read(args.data, "gtsrb_test")

    # Independent streams, so that a change in one place moves nothing elsewhere.
    held = hold_out_tracks(training, args.hold_out, random.Random(f"{args.seed}/hold-out"))
    rows = sorted(set(range(len(training.labels))) - set(held))
    print(f"{len(rows)} training images, {len(held)} held out (whole tracks)")
    if not args.reuse_model:
        start = time.perf_counter()
        export(train(training, rows, args), model_path)
        print(f"trained and exported in {time.perf_counter() - start:.0f} s")

    oracle = Oracle(model_path, args.threads)
    write_configs(args.out, training.class_names)
    debug = make_debug_set(training, held or rows, oracle, random.Random(f"{args.seed}/debug"))
    write_lines(args.out / "debug.jsonl.gz", debug)
    lines, taken = make_test_set(test, random.Random(f"{args.seed}/test"))
    write_lines(args.out / "test.jsonl.gz", lines)
    golden = make_golden_set(test, taken, random.Random(f"{args.seed}/golden"))
    write_lines(args.out / "golden.jsonl.gz", golden)
    write_samples(args.out / "samples", test, oracle)
    report(args.out, test, oracle, args.seed)


if __name__ == "__main__":
    main()
