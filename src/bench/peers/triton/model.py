"""The model in Triton's Python backend: requests that came together share a run."""

import numpy as np
import triton_python_backend_utils as pb_utils

from session import datatypes, open_session, output_names


class TritonPythonModel:
    def initialize(self, args):
        self.session = open_session()
        self.inputs = list(datatypes(self.session))
        self.outputs = output_names(self.session)

    def execute(self, requests):
        columns = {
            name: [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for request in requests]
            for name in self.inputs
        }
        feeds = {
            name: parts[0] if len(parts) == 1 else np.concatenate(parts) for name, parts in columns.items()
        }
        outputs = self.session.run(self.outputs, feeds)
        responses = []
        row = 0
        for part in columns[self.inputs[0]]:
            rows = slice(row, row + len(part))
            row += len(part)
            tensors = [pb_utils.Tensor(name, output[rows]) for name, output in zip(self.outputs, outputs)]
            responses.append(pb_utils.InferenceResponse(output_tensors=tensors))
        return responses
