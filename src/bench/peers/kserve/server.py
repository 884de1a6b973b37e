"""KServe's Python server around one session; it has no batching of its own."""

import os

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer
from kserve.logging import KSERVE_LOG_CONFIG
from kserve.utils.utils import generate_uuid

from session import datatypes, open_session, output_names


class Classifier(Model):
    def load(self):
        self.session = open_session()
        self.dtypes = datatypes(self.session)
        self.names = output_names(self.session)
        self.ready = True

    def predict(self, payload: InferRequest, headers=None, response_headers=None) -> InferResponse:
        feeds = {
            given.name: given.as_numpy().astype(self.dtypes[given.name], copy=False)
            for given in payload.inputs
        }
        infer_outputs = []
        for name, output in zip(self.names, self.session.run(self.names, feeds)):
            infer_output = InferOutput(name, list(output.shape), "FP32")
            infer_output.set_data_from_numpy(output, binary_data=payload.use_binary_outputs)
            infer_outputs.append(infer_output)
        return InferResponse(
            payload.id or generate_uuid(),
            self.name,
            infer_outputs,
            use_binary_outputs=payload.use_binary_outputs,
        )


if __name__ == "__main__":
    # A line or two a request would cost it more than the others.
    for logger in KSERVE_LOG_CONFIG["loggers"].values():
        logger["level"] = "WARNING"
    classifier = Classifier(os.environ["PEER_NAME"])
    classifier.load()
    ModelServer(
        http_port=int(os.environ["PEER_PORT"]),
        grpc_port=int(os.environ["PEER_GRPC_PORT"]),
        workers=1,
        enable_latency_logging=False,
        enable_docs_url=False,
    ).start([classifier])
