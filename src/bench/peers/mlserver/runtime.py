"""The custom runtime."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse

from session import datatypes, open_session, output_names


class Classifier(MLModel):
    async def load(self) -> bool:
        self.session = open_session()
        self.dtypes = datatypes(self.session)
        self.names = output_names(self.session)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feeds = {
            given.name: NumpyCodec.decode_input(given).astype(self.dtypes[given.name], copy=False)
            for given in payload.inputs
        }
        outputs = self.session.run(self.names, feeds)
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            outputs=[NumpyCodec.encode_output(name, output) for name, output in zip(self.names, outputs)],
        )
