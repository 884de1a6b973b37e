"""The session that every server of the comparison runs: one, with as many threads as the others have."""

import os

import numpy as np
import onnxruntime

DATATYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def open_session() -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["PEER_THREADS"])
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        os.environ["PEER_MODEL"], options, providers=["CPUExecutionProvider"]
    )


def datatypes(session: onnxruntime.InferenceSession) -> dict[str, type]:
    """NumPy datatype of each input."""
    return {info.name: DATATYPES[info.type] for info in session.get_inputs()}


def output_names(session: onnxruntime.InferenceSession) -> list[str]:
    return [info.name for info in session.get_outputs()]
