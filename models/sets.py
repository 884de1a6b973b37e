"""What the scripts of the example models share: sample sets, JSON files, figures, digests.

A sample set is JSON Lines, gzipped with neither name nor time so that the bytes repeat. A line has `id`,
`set` (`clean` or `failing`), `label` (the true class), `pair` (id of the clean twin in the same file, or
null), `columns` where the anomalous key positions are told, and `instance`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import warnings
from pathlib import Path

import numpy as np
import onnxruntime

#: Seed of every random choice unless a script is told another.
SEED = 20240601


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def sample_line(name: str, kind: str, label: int, pair: str | None, instance: object, **more: object) -> dict:
    """One line of a sample set."""
    return {"id": name, "set": kind, "label": label, "pair": pair, **more, "instance": instance}


def write_lines(path: Path, lines: list[dict]) -> None:
    text = "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0))


def read_lines(path: Path) -> list[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


def export_onnx(model, example: tuple, path: Path, inputs: list[str], axes: dict[str, dict[int, str]]) -> None:
    """Write a PyTorch module as ONNX, opset 17, with the output `logits`; `axes` names the dynamic axes."""
    import onnx
    import torch

    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter warns that it is the older of two; it is chosen because
        # it keeps matmul-softmax-matmul and Hugging-Face-like node names.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(),
            example,
            buffer,
            dynamo=False,
            opset_version=17,
            do_constant_folding=True,
            input_names=inputs,
            output_names=["logits"],
            dynamic_axes={**axes, "logits": {0: "batch"}},
        )
    onnx.checker.check_model(onnx.load_from_string(buffer.getvalue()), full_check=True)
    path.write_bytes(buffer.getvalue())


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def figure(name: str, hits: np.ndarray) -> str:
    return f"{name:62} {100 * np.mean(hits):6.2f} %  ({int(np.sum(hits))} of {len(hits)})"


def print_digests(out: Path) -> None:
    """The rows of a README's table of digests, and the size of the whole folder."""
    paths = sorted(p for p in out.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    print(f"\n{sum(p.stat().st_size for p in paths):,} bytes in the folder")
    for path in paths:
        data = path.read_bytes()
        if path.name != "README.md":
            print(f"| `{path.relative_to(out).as_posix()}` | {len(data):,} | `{hashlib.sha256(data).hexdigest()}` |")
