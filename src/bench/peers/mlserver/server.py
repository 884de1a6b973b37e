"""MLServer with a custom runtime: its default of one worker process for inference, adaptive batching when batching is on."""

import json
import os
import sys
from pathlib import Path

here = Path(__file__).parent
folder = Path(os.environ["PEER_SCRATCH"])
most = int(os.environ["PEER_BATCH"])
settings = {
    "host": "127.0.0.1",
    "http_port": int(os.environ["PEER_PORT"]),
    "grpc_port": int(os.environ["PEER_GRPC_PORT"]),
    "metrics_port": int(os.environ["PEER_METRICS_PORT"]),
    "debug": False,
}
model = {
    "name": os.environ["PEER_NAME"],
    "implementation": "runtime.Classifier",
    **({"max_batch_size": most, "max_batch_time": 0.001} if most > 1 else {}),
}
(folder / "settings.json").write_text(json.dumps(settings))
(folder / "model-settings.json").write_text(json.dumps(model))
os.environ["PYTHONPATH"] = os.pathsep.join([str(here), os.environ["PYTHONPATH"]])
os.execv(Path(sys.executable).parent / "mlserver", ["mlserver", "start", str(folder)])
