"""LitServe: one worker process with one session, batches of what waits when batching is on."""

import os

import litserve
import numpy as np

from session import datatypes, open_session, output_names

most = int(os.environ["PEER_BATCH"])


class Classifier(litserve.LitAPI):
    def setup(self, device):
        self.session = open_session()
        self.dtypes = datatypes(self.session)
        self.names = output_names(self.session)

    def decode_request(self, request):
        return {
            name: np.asarray(values, self.dtypes[name]) for name, values in request["inputs"].items()
        }

    def batch(self, samples):
        return {name: np.concatenate([sample[name] for sample in samples]) for name in samples[0]}

    def predict(self, feeds):
        return self.session.run(self.names, feeds)

    def unbatch(self, outputs):
        return [[output[row : row + 1] for output in outputs] for row in range(len(outputs[0]))]

    def encode_response(self, outputs):
        return {"outputs": {name: output.tolist() for name, output in zip(self.names, outputs)}}


if __name__ == "__main__":
    api = Classifier(max_batch_size=most, batch_timeout=0.001 if most > 1 else 0)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PEER_PORT"]),
        num_api_servers=1,
        generate_client_file=False,
        log_level="warning",
        access_log=False,
    )
