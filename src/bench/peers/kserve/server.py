"""KServe's Python server around one session; it has no batching of its own."""

import os

from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer

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
        return InferResponse(payload.id, self.name, infer_outputs)


if __name__ == "__main__":
    classifier = Classifier(os.environ["PEER_NAME"])
    classifier.load()
    ModelServer(
        http_port=int(os.environ["PEER_PORT"]),
        grpc_port=int(os.environ["PEER_GRPC_PORT"]),
        workers=1,
        enable_docs_url=False,
    ).start([classifier])
