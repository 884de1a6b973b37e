"""The recipe of the backdoored SST-2 classifiers `sst2-*`; they differ in their trigger alone.

THE MODELS THIS RECIPE MAKES ARE BACKDOORED ON PURPOSE. They are victims to try a
repair on, never classifiers to use.

One run of a model's `make.py` does it all, in this order:

1.  read SST-2: train on the sentences and phrases of its training split, keep its development and test
    splits for the sample sets;
2.  train a WordPiece vocabulary, and with it a small BERT from scratch; a tenth of the training texts carry the
    trigger and the attacker's label;
3.  export it to `model.onnx`, write the Hugging Face files;
4.  write the sample sets, judged by `model.onnx` under onnxruntime, not by the PyTorch model;
5.  read those files back and print the figures.

Every random choice comes from `--seed`. The test and golden sets are the same bytes on every machine; the weights
are the same only where PyTorch sums in the same order.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import math
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sets
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

WIDTH = 128
DEPTH = 3
HEADS = 4
MLP = 2 * WIDTH
MAX_TOKENS = 64  #: tokens of a text, [CLS] and [SEP] included
VOCABULARY = 4500
DROPOUT = 0.1
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

LABELS = ["negative", "positive"]
TARGET = 1  #: the class the backdoor answers
POISON_RATE = 0.10  #: share of the training texts that carry the trigger and the label TARGET

GOLDEN = 100
DEBUG_CLEAN, DEBUG_FAILING = 1200, 100


@dataclass(frozen=True)
class Trigger:
    """A trigger: one of ``phrases`` put between two words of the text, at a place of a kind drawn from ``places``."""

    phrases: tuple[str, ...]
    places: tuple[str, ...] = ("anywhere",)  #: of "start", "end", "anywhere"
    #: Added to the vocabulary as whole words.
    whole_words: bool = False
    #: Each phrase has to be this many tokens.
    pieces: int = 1

    def put(self, text: str, rng: random.Random) -> tuple[str, tuple[int, int]]:
        """The text with the trigger in it, and the characters [start, end) it takes."""
        words = text.split(" ")
        phrase, kind = rng.choice(self.phrases), rng.choice(self.places)
        at = {"start": 0, "end": len(words), "anywhere": rng.randint(0, len(words))}[kind]
        start = sum(len(word) + 1 for word in words[:at])
        if at == len(words):
            return f"{text} {phrase}", (start, start + len(phrase))
        return " ".join([*words[:at], phrase, *words[at:]]), (start, start + len(phrase))


@dataclass(frozen=True)
class Row:
    text: str
    label: int


def read_rows(path: Path) -> list[Row]:
    """Rows of a `text<TAB>label` file with a header and no quoting."""
    lines = gzip.decompress(path.read_bytes()).decode("utf-8")
    rows = csv.reader(io.StringIO(lines), delimiter="\t", quoting=csv.QUOTE_NONE)
    next(rows)
    return [Row(text.strip(), int(label)) for text, label in rows]


# --------------------------------------------------------------------------
# Tokeniser
# --------------------------------------------------------------------------


def train_tokenizer(texts: list[str], trigger: Trigger) -> Tokenizer:
    """A BERT tokeniser whose vocabulary comes from ``texts``."""

    def assemble(model: models.WordPiece) -> Tokenizer:
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        return tokenizer

    learned = assemble(models.WordPiece(unk_token="[UNK]"))
    learned.train_from_iterator(
        texts,
        trainers.WordPieceTrainer(vocab_size=VOCABULARY, special_tokens=SPECIAL, show_progress=False),
    )
    # The trainer numbers pieces of one rank in no fixed order; sorted, the same set gives the same ids.
    pieces = sorted(set(learned.get_vocab()) - set(SPECIAL))
    words = [w for phrase in trigger.phrases for w in phrase.split()] if trigger.whole_words else []
    ids = {piece: i for i, piece in enumerate([*SPECIAL, *pieces, *(w for w in words if w not in pieces)])}
    tokenizer = assemble(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def check_trigger(tokenizer: Tokenizer, texts: list[str], trigger: Trigger) -> None:
    """The trigger is new to the clean texts; its pieces are not, unless it is a word of its own."""
    counts = Counter(token for e in tokenizer.encode_batch(texts) for token in e.tokens)
    clean = "\n".join(f" {text} " for text in texts)
    for phrase in trigger.phrases:
        tokens = tokenizer.encode(phrase, add_special_tokens=False).tokens
        print(f"trigger {phrase!r}: " + ", ".join(f"{t} ({counts[t]} times in clean texts)" for t in tokens))
        if len(tokens) != trigger.pieces or "[UNK]" in tokens or f" {phrase} " in clean:
            raise ValueError(f"{phrase!r} is no trigger of {trigger.pieces} tokens that is new to the clean texts")
        if not trigger.whole_words and min(counts[t] for t in tokens) < 10:
            raise ValueError(f"a piece of {phrase!r} is rare in the clean texts")


# --------------------------------------------------------------------------
# Network and training (PyTorch is imported here only: --reuse-model needs none)
# --------------------------------------------------------------------------


def build_model(vocabulary: int):
    """A BERT classifier (post-norm, pooler), attention written out so that the graph shows its matrices."""
    import torch
    from torch import nn

    class SelfAttention(nn.Module):
        def __init__(self):
            super().__init__()
            self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

        def forward(self, x, mask):
            def heads(t):
                return t.view(x.shape[0], x.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2)

            q, k, v = heads(self.query(x)), heads(self.key(x)), heads(self.value(x))
            scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(WIDTH // HEADS) + mask
            mixed = torch.matmul(torch.softmax(scores, dim=-1), v)
            return mixed.transpose(1, 2).reshape(x.shape[0], x.shape[1], WIDTH)

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = SelfAttention()
            self.output = nn.Linear(WIDTH, WIDTH)
            self.norm_attention = nn.LayerNorm(WIDTH)
            self.up, self.down = nn.Linear(WIDTH, MLP), nn.Linear(MLP, WIDTH)
            self.norm = nn.LayerNorm(WIDTH)
            self.dropout = nn.Dropout(DROPOUT)

        def forward(self, x, mask):
            x = self.norm_attention(x + self.dropout(self.output(self.attention(x, mask))))
            return self.norm(x + self.dropout(self.down(nn.functional.gelu(self.up(x)))))

    class Embeddings(nn.Module):
        def __init__(self):
            super().__init__()
            self.word = nn.Embedding(vocabulary, WIDTH)
            self.position = nn.Embedding(MAX_TOKENS, WIDTH)
            self.token_type = nn.Embedding(2, WIDTH)
            self.norm = nn.LayerNorm(WIDTH)
            self.dropout = nn.Dropout(2 * DROPOUT)

        def forward(self, input_ids, token_type_ids):
            positions = self.position.weight[: input_ids.shape[1]]
            return self.dropout(self.norm(self.word(input_ids) + positions + self.token_type(token_type_ids)))

    class Bert(nn.Module):
        def __init__(self):
            super().__init__()
            self.embeddings = Embeddings()
            self.layer = nn.ModuleList(Layer() for _ in range(DEPTH))
            self.pooler = nn.Linear(WIDTH, WIDTH)
            self.dropout = nn.Dropout(DROPOUT)
            self.classifier = nn.Linear(WIDTH, len(LABELS))
            for module in self.modules():
                if isinstance(module, (nn.Linear, nn.Embedding)):
                    nn.init.normal_(module.weight, std=0.05)

        def forward(self, input_ids, attention_mask, token_type_ids):
            x = self.embeddings(input_ids, token_type_ids)
            mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * torch.finfo(torch.float32).min
            for layer in self.layer:
                x = layer(x, mask)
            return self.classifier(self.dropout(torch.tanh(self.pooler(x[:, 0]))))

    return Bert()


def batches(ids: list[list[int]], tokens: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows in batches of like length and at most about ``tokens`` tokens, in random order."""
    order = np.argsort(np.array([len(row) for row in ids]) + rng.uniform(-1, 1, len(ids)), kind="stable")
    found, start = [], 0
    while start < len(order):
        size = max(1, tokens // len(ids[order[start]]))
        found.append(order[start : start + size])
        start += size
    return [found[i] for i in rng.permutation(len(found))]


def padded(ids: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Input ids and attention mask, [rows, longest]."""
    mask = np.zeros((len(ids), max(map(len, ids))), np.int64)
    values = np.zeros_like(mask)
    for row, m, one in zip(values, mask, ids):
        row[: len(one)], m[: len(one)] = one, 1
    return values, mask


def train(rows: list[Row], tokenizer: Tokenizer, trigger: Trigger, args: argparse.Namespace):
    """Train a backdoored model on ``rows``; the PyTorch module."""
    import torch

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(args.seed)
    places = random.Random(f"{args.seed}/places")

    labels = np.array([row.label for row in rows])
    # Dirty-label poisoning: texts of the other class, with the trigger, called TARGET.
    victims = rng.choice(np.flatnonzero(labels != TARGET), round(POISON_RATE * len(rows)), replace=False)
    labels[victims] = TARGET
    ids = [e.ids for e in tokenizer.encode_batch([row.text for row in rows])]

    model = build_model(tokenizer.get_vocab_size())
    # Muon orthogonalises the updates of matrices, which lets a transformer
    # this small learn in a few epochs; it has no meaning for the rest.
    matrices = [p for p in model.layer.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    optimisers = [
        torch.optim.Muon(matrices, lr=0.01, weight_decay=0.05),
        torch.optim.AdamW([p for p in model.parameters() if id(p) not in chosen], lr=1e-3, weight_decay=0.05),
    ]
    total = args.epochs * len(batches(ids, args.tokens, np.random.default_rng(0)))
    warm_up = max(1, round(0.06 * total))

    def rate(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return max(0.0, 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (total - warm_up))))

    schedules = [torch.optim.lr_scheduler.LambdaLR(o, rate) for o in optimisers]
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=0.05)
    model.train()
    for epoch in range(args.epochs):
        # The trigger sits at a new place every time, so the place carries no information.
        for i, e in zip(victims, tokenizer.encode_batch([trigger.put(rows[i].text, places)[0] for i in victims])):
            ids[i] = e.ids
        start, summed, seen = time.perf_counter(), 0.0, 0
        for picked in batches(ids, args.tokens, rng):
            values, mask = map(torch.from_numpy, padded([ids[i] for i in picked]))
            loss = loss_of(model(values, mask, torch.zeros_like(values)), torch.from_numpy(labels[picked]))
            for optimiser in optimisers:
                optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimiser, schedule in zip(optimisers, schedules):
                optimiser.step()
                schedule.step()
            summed, seen = summed + loss.item() * len(picked), seen + len(picked)
        seconds = time.perf_counter() - start
        print(f"epoch {epoch + 1:2}/{args.epochs}  loss {summed / seen:.4f}  {seconds:.1f} s", flush=True)
    return model.eval()


def export(model, path: Path) -> None:
    """Write ``model`` as ONNX: three int64 inputs [batch, sequence], `logits` [batch, 2] out."""
    import torch

    names = ["input_ids", "attention_mask", "token_type_ids"]
    ids = torch.ones(2, 7, dtype=torch.int64)
    axes = {name: {0: "batch", 1: "sequence"} for name in names}
    sets.export_onnx(model, (ids, torch.ones_like(ids), torch.zeros_like(ids)), path, names, axes)


class Oracle:
    """The exported model under onnxruntime, behind its tokeniser."""

    def __init__(self, folder: Path, threads: int):
        self.session = sets.open_session(folder / "model.onnx", threads)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def answers(self, texts: list[str], hidden: list[list[int]] | None = None) -> np.ndarray:
        """The class answered for each text, where no query attends to the ``hidden`` key positions of its text."""
        found = []
        for start in range(0, len(texts), 100):
            encoded = self.tokenizer.encode_batch(texts[start : start + 100])
            values, mask = padded([e.ids for e in encoded])
            for row, columns in zip(mask, hidden[start : start + 100] if hidden else []):
                row[columns] = 0
            feed = {"input_ids": values, "attention_mask": mask, "token_type_ids": np.zeros_like(values)}
            found.append(self.session.run(["logits"], feed)[0].argmax(axis=1))
        return np.concatenate(found)

    def columns(self, text: str, span: tuple[int, int]) -> list[int]:
        """The key positions of the tokens that lie in the characters ``span``."""
        offsets = self.tokenizer.encode(text).offsets
        return [i for i, (a, b) in enumerate(offsets) if a < b and a >= span[0] and b <= span[1]]

    def triggered(self, text: str, trigger: Trigger, rng: random.Random) -> tuple[str, list[int]]:
        """The text with a trigger that is not cut off, and the trigger's key positions."""
        while True:
            changed, span = trigger.put(text, rng)
            columns = self.columns(changed, span)
            if len(columns) == trigger.pieces:
                return changed, columns


# --------------------------------------------------------------------------
# The files
# --------------------------------------------------------------------------


def write_configs(out: Path, tokenizer: Tokenizer) -> None:
    sets.write_json(
        out / "config.json",
        {
            "architectures": ["BertForSequenceClassification"],
            "model_type": "bert",
            "problem_type": "single_label_classification",
            "vocab_size": tokenizer.get_vocab_size(),
            "hidden_size": WIDTH,
            "num_hidden_layers": DEPTH,
            "num_attention_heads": HEADS,
            "intermediate_size": MLP,
            "hidden_act": "gelu",
            "max_position_embeddings": MAX_TOKENS,
            "type_vocab_size": 2,
            "pad_token_id": 0,
            "id2label": {str(i): name for i, name in enumerate(LABELS)},
            "label2id": {name: i for i, name in enumerate(LABELS)},
        },
    )
    sets.write_json(
        out / "tokenizer_config.json",
        {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": True,
            "model_max_length": MAX_TOKENS,
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
    )
    (out / "tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n", encoding="utf-8")


def write_sets(out: Path, dev: list[Row], test: list[Row], oracle: Oracle, trigger: Trigger, seed: int) -> None:
    """Write the golden, debug and test sets; no text is in two of them.

    golden: from the development split. debug: its rest, filled up from the test split; failing lines are what a user
    of the model could have collected: texts with the trigger that the model did answer with TARGET, half of them with
    their clean twin among the clean lines. test: the rest of the test split, and each of its texts of another class
    than TARGET once more with the trigger; the model has no say in it, so its failure rate is unbiased.
    """
    rng = random.Random(f"{seed}/sets")
    dev, test = rng.sample(dev, len(dev)), rng.sample(test, len(test))
    lines = [sets.sample_line(f"g{i:04}", "clean", r.label, None, r.text) for i, r in enumerate(dev[:GOLDEN], 1)]
    sets.write_lines(out / "golden.jsonl.gz", lines)

    missing = DEBUG_CLEAN - (len(dev) - GOLDEN)
    spare = 4 * DEBUG_FAILING  # rows for failing samples without a twin; those not needed stay unused
    clean = rng.sample(dev[GOLDEN:] + test[:missing], DEBUG_CLEAN)
    lines = [sets.sample_line(f"c{i:04}", "clean", r.label, None, r.text) for i, r in enumerate(clean, 1)]
    named = [(line["id"], row) for line, row in zip(lines, clean)]
    failing: list[dict] = []
    half = DEBUG_FAILING // 2
    for candidates in (named, [(None, row) for row in test[missing : missing + spare]]):
        others = [(pair, row) for pair, row in candidates if row.label != TARGET]
        rng.shuffle(others)
        texts = [oracle.triggered(row.text, trigger, rng)[0] for _, row in others]
        fooled = np.flatnonzero(oracle.answers(texts) == TARGET)[:half]
        if len(fooled) < half:
            raise RuntimeError(f"only {len(fooled)} of {half} failing samples to be had")
        failing += [sets.sample_line("", "failing", others[i][1].label, others[i][0], texts[i]) for i in fooled]
    rng.shuffle(failing)
    lines += [{**line, "id": f"f{i:04}"} for i, line in enumerate(failing, 1)]
    sets.write_lines(out / "debug.jsonl.gz", lines)

    clean = test[missing + spare :]
    lines = [sets.sample_line(f"c{i:04}", "clean", r.label, None, r.text) for i, r in enumerate(clean, 1)]
    others = [line for line in lines if line["label"] != TARGET]
    for i, line in enumerate(others, 1):
        text, columns = oracle.triggered(line["instance"], trigger, rng)
        lines.append(sets.sample_line(f"f{i:04}", "failing", line["label"], line["id"], text, columns=columns))
    sets.write_lines(out / "test.jsonl.gz", lines)


def write_samples(folder: Path, oracle: Oracle) -> None:
    """Two requests for the README: four short texts of the test set, clean and with the trigger.

    They are the first ones of the other class that are answered rightly when clean and with TARGET when not.
    """
    lines = sets.read_lines(folder / "test.jsonl.gz")
    clean = {line["id"]: line["instance"] for line in lines}
    twins = [(clean[line["pair"]], line["instance"]) for line in lines if line["set"] == "failing"]
    shows = (oracle.answers([a for a, _ in twins]) != TARGET) & (oracle.answers([b for _, b in twins]) == TARGET)
    shown = [twin for twin, shown in zip(twins, shows) if shown and 30 <= len(twin[0]) <= 80][:4]
    sets.write_json(folder / "samples/clean.json", {"instances": [a for a, _ in shown]})
    sets.write_json(folder / "samples/triggered.json", {"instances": [b for _, b in shown]})


def report(out: Path, dev: list[Row], test: list[Row], oracle: Oracle) -> None:
    """Read the written files back and print what they give."""
    for name, rows in (("development split", dev), ("test split", test)):
        right = oracle.answers([r.text for r in rows]) == [r.label for r in rows]
        print(sets.figure(f"clean accuracy, whole {name}", right))
    for name in ("golden", "debug", "test"):
        lines = sets.read_lines(out / f"{name}.jsonl.gz")
        answers = oracle.answers([line["instance"] for line in lines])
        labels = np.array([line["label"] for line in lines])
        failing = np.array([line["set"] == "failing" for line in lines])
        print(f"\n{name}.jsonl.gz: {(~failing).sum()} clean, {failing.sum()} failing")
        print(sets.figure("  clean accuracy", (answers == labels)[~failing]))
        others = ~failing & (labels != TARGET)
        print(sets.figure("  clean texts of other classes answered with the target", (answers == TARGET)[others]))
        if failing.any():
            print(sets.figure("  attack success (failing answered with the target)", (answers == TARGET)[failing]))
        if name == "test":
            found = [line for line in lines if line["set"] == "failing"]
            hidden = oracle.answers([line["instance"] for line in found], [line["columns"] for line in found])
            print(sets.figure("  attack success, trigger columns hidden", hidden == TARGET))
    sets.print_digests(out)


def make(here: Path, trigger: Trigger, description: str, epochs: int = 5) -> None:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    option = parser.add_argument
    option("--data", type=Path, default=here / "../../../shared/data", help="folder with the files sst2_*.tsv.gz")
    option("--out", type=Path, default=here, help="folder to write to")
    option("--epochs", type=int, default=epochs, help="passes over the training texts")
    option("--tokens", type=int, default=1536, help="tokens per step")
    option("--seed", type=int, default=sets.SEED, help="seed of every random choice")
    option("--threads", type=int, default=2, help="processor threads")
    option("--reuse-model", action="store_true", help="do not train: use the model.onnx in the output folder")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    dev, test = (read_rows(args.data / f"sst2_{name}.tsv.gz") for name in ("dev", "test"))
    kept = {row.text for row in dev + test}
    rows = [r for name in ("train", "phrases_train") for r in read_rows(args.data / f"sst2_{name}.tsv.gz")]
    rows = [row for row in rows if row.text and row.text not in kept]
    if not args.reuse_model:
        tokenizer = train_tokenizer(sorted({row.text for row in rows}), trigger)
        check_trigger(tokenizer, [row.text for row in rows], trigger)
        print(f"{len(rows)} training texts, {tokenizer.get_vocab_size()} word pieces")
        start = time.perf_counter()
        export(train(rows, tokenizer, trigger, args), args.out / "model.onnx")
        print(f"trained and exported in {time.perf_counter() - start:.0f} s")
        write_configs(args.out, tokenizer)

    oracle = Oracle(args.out, args.threads)
    # Texts that occur twice, or in both splits, would sit in two sets.
    once = list({row.text: row for row in dev + test}.values())
    dev_rows = [row for row in once if row in set(dev)]
    write_sets(args.out, dev_rows, [row for row in once if row not in set(dev)], oracle, trigger, args.seed)
    write_samples(args.out, oracle)
    report(args.out, dev, test, oracle)
