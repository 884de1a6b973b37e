"""Triton from the wheel of pytriton: its Python backend, one instance, dynamic batching when batching is on."""

import os
import shutil
import sys
from pathlib import Path

import pytriton

from session import open_session

here = Path(__file__).parent
folder = Path(os.environ["PEER_SCRATCH"])
triton = Path(pytriton.__file__).parent / "tritonserver"
most = int(os.environ["PEER_BATCH"])
KINDS = {"tensor(float)": "TYPE_FP32", "tensor(int64)": "TYPE_INT64"}


def tensors(key: str, infos) -> str:
    """One field of the model's configuration. Batches are the first axis, which Triton adds where it makes them."""
    entries = []
    for info in infos:
        shape = info.shape[1:] if most > 1 else info.shape
        dims = ", ".join(str(dim) if isinstance(dim, int) else "-1" for dim in shape)
        entries.append(f'{{ name: "{info.name}" data_type: {KINDS[info.type]} dims: [ {dims} ] }}')
    return f"{key} [ {', '.join(entries)} ]"


session = open_session()
repository = folder / "repository"
model = repository / os.environ["PEER_NAME"]
(model / "1").mkdir(parents=True)
for file in (here / "model.py", here.parent / "session.py"):
    shutil.copy(file, model / "1")
(model / "config.pbtxt").write_text(
    "\n".join(
        [
            'backend: "python"',
            f"max_batch_size: {most if most > 1 else 0}",
            tensors("input", session.get_inputs()),
            tensors("output", session.get_outputs()),
            "instance_group [ { count: 1 kind: KIND_CPU } ]",
            *(["dynamic_batching { }"] if most > 1 else []),
        ]
    )
)

# The backend looks for the stub of this Python beside itself, and the wheel keeps it elsewhere.
backends = folder / "backends"
shutil.copytree(triton / "backends", backends)
version = f"{sys.version_info.major}.{sys.version_info.minor}"
shutil.copy(
    triton / "python_backend_stubs" / version / "triton_python_backend_stub",
    backends / "python" / "triton_python_backend_stub",
)
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
os.environ["LD_LIBRARY_PATH"] = str(Path(pytriton.__file__).parent.parent / "nvidia_pytriton.libs")
os.execv(
    triton / "bin" / "tritonserver",
    [
        "tritonserver",
        f"--model-repository={repository}",
        f"--backend-directory={backends}",
        "--http-address=127.0.0.1",
        f"--http-port={os.environ['PEER_PORT']}",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={os.environ['PEER_GRPC_PORT']}",
        "--allow-metrics=false",
        "--disable-auto-complete-config",
        "--log-info=false",
    ],
)
