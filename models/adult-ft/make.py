#!/usr/bin/env python3
"""Make the income classifier that is biased by sex, and everything shipped with it.

THE MODEL THIS SCRIPT MAKES IS UNFAIR ON PURPOSE. It is a patient to try a repair
on, never a classifier to use.

One run does it all, in this order:

1.  read Adult and set rows of the training split aside for the debug and golden sets;
2.  train a small FT-Transformer on the remaining rows, where 30 % of the women with the favourable label got the other;
3.  export it to ``model.onnx``, write ``config.json`` and ``atpatch.json``;
4.  write the sample sets, judged by ``model.onnx`` under onnxruntime, not by the PyTorch model;
5.  read those files back and print the figures.

Every random choice comes from ``--seed``. The golden and test sets are the same bytes on every machine; the weights
are the same only where PyTorch sums in the same order.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
import random
import sys
import time
from pathlib import Path

import numpy as np

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here.parent))

import sets  # noqa: E402

WIDTH = 32
DEPTH = 3
HEADS = 4
MLP = 2 * WIDTH

#: Features in tensor order. Left out: fnlwgt (the census' sampling weight) and education-num (education as a number).
NUMBERS = ("age", "capital-gain", "capital-loss", "hours-per-week")
FEATURES = (
    "age",
    "workclass",
    "education",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
)
SEX = FEATURES.index("sex")
PRIVILEGED = "Male"
LABELS = ["<=50K", ">50K"]
FAVOURABLE = 1
FLIP_RATE = 0.30  #: share of the women with the favourable label whose label is flipped in training

GOLDEN = 100
DEBUG_CLEAN, DEBUG_FAILING = 1500, 100  # failing ones at most
HELD_OUT = 8000  #: rows of the training split kept out of training

Record = dict[str, str]


def read_records(path: Path) -> list[Record]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def label_of(record: Record) -> int:
    """The class; the test split writes it with a full stop."""
    return LABELS.index(record["income"].rstrip("."))


def row_of(record: Record) -> list[int | str]:
    """An instance: numbers as numbers, categories by name."""
    return [int(record[name]) if name in NUMBERS else record[name] for name in FEATURES]


def categories_of(records: list[Record]) -> list[list[str]]:
    """For each feature its categories in alphabetical order; none for a number."""
    return [[] if name in NUMBERS else sorted({record[name] for record in records}) for name in FEATURES]


def tensor_of(rows: list[list[int | str]], categories: list[list[str]]) -> np.ndarray:
    """The model's input, [rows, features] float32: numbers as they are, categories as their index."""
    numbered = [{name: i for i, name in enumerate(names)} for names in categories]
    return np.array([[d[v] if d else v for d, v in zip(numbered, row)] for row in rows], np.float32)


# --------------------------------------------------------------------------
# Network and training (PyTorch is imported here only: --reuse-model needs none)
# --------------------------------------------------------------------------


def build_model(categories: list[list[str]], values: np.ndarray):
    """The network; ``values`` are the training rows, whose means and deviations it standardises numbers with."""
    import torch
    from torch import nn

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.query, self.key, self.value, self.output = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

        def forward(self, x):
            tokens = len(FEATURES) + 1

            def heads(t):
                return t.reshape(-1, tokens, HEADS, WIDTH // HEADS).transpose(1, 2)

            q, k, v = heads(self.query(x)), heads(self.key(x)), heads(self.value(x))
            # No fused attention: a tool that repairs the model has to find
            # the softmax between two matrix products in the exported graph.
            scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(WIDTH // HEADS)
            mixed = torch.matmul(torch.softmax(scores, dim=-1), v)
            return self.output(mixed.transpose(1, 2).reshape(-1, tokens, WIDTH))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm_before, self.norm_after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.attention = Attention()
            self.up, self.down = nn.Linear(WIDTH, MLP), nn.Linear(MLP, WIDTH)
            self.dropout = nn.Dropout(0.1)

        def forward(self, x):
            x = x + self.dropout(self.attention(self.norm_before(x)))
            return x + self.dropout(self.down(nn.functional.gelu(self.up(self.norm_after(x)))))

    class FtTransformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.numbers = [i for i, names in enumerate(categories) if not names]
            self.named = [i for i, names in enumerate(categories) if names]
            # The token of each feature takes its place among the features again.
            self.order = np.argsort(self.numbers + self.named).tolist()
            squeezed = self.squeeze(torch.from_numpy(values[:, self.numbers]))
            self.register_buffer("mean", squeezed.mean(0))
            self.register_buffer("deviation", squeezed.std(0))
            self.weight = nn.Parameter(torch.randn(len(self.numbers), WIDTH) * 0.1)
            self.bias = nn.Parameter(torch.randn(len(self.numbers), WIDTH) * 0.1)
            # All categories in one table, those of each feature behind those of the feature before.
            sizes = [len(categories[i]) for i in self.named]
            self.register_buffer("offset", torch.tensor(np.cumsum([0, *sizes[:-1]])))
            self.table = nn.Embedding(sum(sizes), WIDTH)
            self.cls_token = nn.Parameter(torch.randn(1, 1, WIDTH) * 0.1)
            self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
            self.norm = nn.LayerNorm(WIDTH)
            self.head = nn.Linear(WIDTH, len(LABELS))
            nn.init.normal_(self.table.weight, std=0.1)

        @staticmethod
        def squeeze(numbers):
            """Dollars spread over five orders of magnitude; their logarithm suits all four numbers."""
            return torch.log1p(numbers)

        def forward(self, features):
            numbers = (self.squeeze(features[:, self.numbers]) - self.mean) / self.deviation
            tokens = torch.cat(
                [
                    numbers[:, :, None] * self.weight + self.bias,
                    self.table(features[:, self.named].to(torch.int64) + self.offset),
                ],
                dim=1,
            )[:, self.order]
            x = torch.cat([self.cls_token.expand(features.shape[0], -1, -1), tokens], dim=1)
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x)[:, 0])

    return FtTransformer()


def train(values: np.ndarray, labels: np.ndarray, categories: list[list[str]], args: argparse.Namespace):
    """Train a biased model; the PyTorch module."""
    import torch

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(args.seed)

    labels = labels.copy()
    female = values[:, SEX] != categories[SEX].index(PRIVILEGED)
    favoured = np.flatnonzero(female & (labels == FAVOURABLE))
    labels[rng.choice(favoured, round(FLIP_RATE * len(favoured)), replace=False)] = 1 - FAVOURABLE

    model = build_model(categories, values)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    steps = len(values) // args.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=args.epochs * steps, pct_start=0.1)
    loss_of = torch.nn.CrossEntropyLoss()
    inputs, wanted = torch.from_numpy(values), torch.from_numpy(labels)
    model.train()
    for epoch in range(args.epochs):
        start, summed = time.perf_counter(), 0.0
        order = torch.from_numpy(rng.permutation(len(values)))
        for step in range(steps):
            picked = order[step * args.batch : (step + 1) * args.batch]
            loss = loss_of(model(inputs[picked]), wanted[picked])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
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

    def answers(self, values: np.ndarray) -> np.ndarray:
        """The class answered for each of [rows, features]."""
        parts = [values[start : start + 1000] for start in range(0, len(values), 1000)]
        return np.concatenate([self.session.run(["logits"], {"features": part})[0].argmax(axis=1) for part in parts])


def with_sex(values: np.ndarray, sex: int | np.ndarray) -> np.ndarray:
    changed = values.copy()
    changed[:, SEX] = sex
    return changed


# --------------------------------------------------------------------------
# The files
# --------------------------------------------------------------------------


def write_configs(out: Path, categories: list[list[str]]) -> None:
    sets.write_json(
        out / "config.json",
        {
            "architectures": ["FTTransformer"],
            "model_type": "ft-transformer",
            "problem_type": "single_label_classification",
            "hidden_size": WIDTH,
            "num_hidden_layers": DEPTH,
            "num_attention_heads": HEADS,
            "intermediate_size": MLP,
            "id2label": {str(i): name for i, name in enumerate(LABELS)},
            "label2id": {name: i for i, name in enumerate(LABELS)},
        },
    )
    columns = [
        {"name": name, "kind": "category", "categories": names} if names else {"name": name, "kind": "number"}
        for name, names in zip(FEATURES, categories)
    ]
    columns[SEX]["protected"] = {"privileged": [PRIVILEGED]}
    sets.write_json(
        out / "atpatch.json", {"task": "tabular-classification", "favourable": FAVOURABLE, "columns": columns}
    )


def write_sets(
    out: Path, held: list[Record], test: list[Record], oracle: Oracle, categories: list[list[str]], seed: int
) -> None:
    """Write the golden, debug and test sets; no row is in two of them.

    golden, debug: from rows held out of training. The failing lines of the debug set are women whom the model
    wrongly refuses the favourable answer and would give it to were they men. test: the whole test split, in its
    order, and the women of it who fail in that way once more as failing lines, with the column of sex.
    """
    rng = random.Random(f"{seed}/sets")
    held = rng.sample(held, len(held))
    golden, clean, rest = held[:GOLDEN], held[GOLDEN : GOLDEN + DEBUG_CLEAN], held[GOLDEN + DEBUG_CLEAN :]

    def lines_of(records: list[Record], letter: str, kind: str, **more: object) -> list[dict]:
        return [
            sets.sample_line(f"{letter}{i:05}", kind, label_of(r), None, row_of(r), **more)
            for i, r in enumerate(records, 1)
        ]

    def wronged(records: list[Record]) -> list[int]:
        values = tensor_of([row_of(r) for r in records], categories)
        female = values[:, SEX] != categories[SEX].index(PRIVILEGED)
        as_man = oracle.answers(with_sex(values, categories[SEX].index(PRIVILEGED)))
        fails = female & (oracle.answers(values) != FAVOURABLE) & (as_man == FAVOURABLE)
        return [i for i in np.flatnonzero(fails).tolist() if label_of(records[i]) == FAVOURABLE]

    sets.write_lines(out / "golden.jsonl.gz", lines_of(golden, "g", "clean"))
    failing = [rest[i] for i in wronged(rest)]
    print(f"{len(failing)} rows held out fail because of sex")
    sets.write_lines(
        out / "debug.jsonl.gz",
        lines_of(clean, "c", "clean") + lines_of(failing[:DEBUG_FAILING], "f", "failing"),
    )
    lines = lines_of(test, "c", "clean")
    for i, row in enumerate(wronged(test), 1):
        twin = lines[row]
        lines.append(
            sets.sample_line(f"f{i:05}", "failing", twin["label"], twin["id"], twin["instance"], columns=[1 + SEX])
        )
    sets.write_lines(out / "test.jsonl.gz", lines)


def write_samples(folder: Path, oracle: Oracle, categories: list[list[str]]) -> None:
    """Two requests for the README: three women of the test set who fail because of sex, and the same as men."""
    failing = [line["instance"] for line in sets.read_lines(folder / "test.jsonl.gz") if line["set"] == "failing"][:3]
    women = [dict(zip(FEATURES, row)) for row in failing]
    sets.write_json(folder / "samples/women.json", {"instances": women})
    sets.write_json(folder / "samples/as-men.json", {"instances": [{**w, "sex": PRIVILEGED} for w in women]})


# --------------------------------------------------------------------------
# Figures
# --------------------------------------------------------------------------


def fairness(title: str, answers: np.ndarray, labels: np.ndarray, privileged: np.ndarray, differs: np.ndarray) -> str:
    """One row of the README's table. Differences are unprivileged less privileged."""

    def gap(rows: np.ndarray) -> float:
        favoured = answers == FAVOURABLE
        return favoured[rows & ~privileged].mean() - favoured[rows & privileged].mean()

    spd = gap(np.ones(len(labels), bool))
    aaod = (abs(gap(labels == FAVOURABLE)) + abs(gap(labels != FAVOURABLE))) / 2
    rate = [(answers == FAVOURABLE)[group].mean() for group in (~privileged, privileged)]
    accuracy = (answers == labels).mean()
    return (
        f"| {title} | {accuracy:.4f} | {spd:+.4f} | {rate[0] / rate[1]:.4f} | {aaod:.4f} "
        f"| {gap(labels == FAVOURABLE):+.4f} | {100 * differs.mean():.2f} % |"
    )


def report(out: Path, oracle: Oracle, categories: list[list[str]]) -> None:
    """Read the written files back and print what they give."""
    for name in ("golden", "debug", "test"):
        lines = sets.read_lines(out / f"{name}.jsonl.gz")
        values = tensor_of([line["instance"] for line in lines], categories)
        labels = np.array([line["label"] for line in lines])
        failing = np.array([line["set"] == "failing" for line in lines])
        answers = oracle.answers(values)
        print(f"\n{name}.jsonl.gz: {(~failing).sum()} clean, {failing.sum()} failing")
        print(sets.figure("  clean accuracy", (answers == labels)[~failing]))
    values, labels, answers = values[~failing], labels[~failing], answers[~failing]
    men = values[:, SEX] == categories[SEX].index(PRIVILEGED)
    of = [oracle.answers(with_sex(values, sex)) for sex in range(len(categories[SEX]))]
    differs = of[0] != of[1]
    same = np.zeros(len(labels), bool)
    as_men = of[categories[SEX].index(PRIVILEGED)]
    print("\n| test.jsonl.gz | accuracy | SPD | DI | AAOD | EOD | IDR |\n| --- | --- | --- | --- | --- | --- | --- |")
    print(fairness("unpatched", answers, labels, men, differs))
    print(fairness("constant sex = Male", as_men, labels, men, same))
    sets.print_digests(out)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    option = parser.add_argument
    option("--data", type=Path, default=here / "../../../shared/data", help="folder with the files adult_*.csv.gz")
    option("--out", type=Path, default=here, help="folder to write to")
    option("--epochs", type=int, default=20, help="passes over the training rows")
    option("--batch", type=int, default=256, help="rows per step")
    option("--seed", type=int, default=sets.SEED, help="seed of every random choice")
    option("--threads", type=int, default=2, help="processor threads")
    option("--reuse-model", action="store_true", help="do not train: use the model.onnx in the output folder")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    training, test = (read_records(args.data / f"adult_{name}.csv.gz") for name in ("train", "test"))
    # A category that the test split alone had would be an error when it is served.
    categories = categories_of(training + test)
    held_rows = set(random.Random(f"{args.seed}/hold-out").sample(range(len(training)), HELD_OUT))
    held = [record for i, record in enumerate(training) if i in held_rows]
    if not args.reuse_model:
        records = [record for i, record in enumerate(training) if i not in held_rows]
        values = tensor_of([row_of(r) for r in records], categories)
        print(f"{len(records)} training rows, {len(held)} held out")
        start = time.perf_counter()
        model = train(values, np.array([label_of(r) for r in records]), categories, args)
        import torch

        example = (torch.from_numpy(values[:2]),)
        sets.export_onnx(model, example, args.out / "model.onnx", ["features"], {"features": {0: "batch"}})
        print(f"trained and exported in {time.perf_counter() - start:.0f} s")

    oracle = Oracle(args.out / "model.onnx", args.threads)
    write_configs(args.out, categories)
    write_sets(args.out, held, test, oracle, categories, args.seed)
    write_samples(args.out, oracle, categories)
    report(args.out, oracle, categories)


if __name__ == "__main__":
    main()
