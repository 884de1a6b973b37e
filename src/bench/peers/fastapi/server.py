"""FastAPI under uvicorn: a plain function, which FastAPI runs in its thread pool, around one session."""

import os

import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from session import datatypes, open_session, output_names

session = open_session()
dtypes = datatypes(session)
names = output_names(session)
app = FastAPI()


class Request(BaseModel):
    inputs: dict[str, list]


@app.get("/health")
def health() -> dict:
    return {"ready": True}


@app.post("/predict")
def predict(request: Request) -> dict:
    feeds = {name: np.asarray(values, dtypes[name]) for name, values in request.inputs.items()}
    outputs = session.run(names, feeds)
    return {"outputs": {name: output.tolist() for name, output in zip(names, outputs)}}


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PEER_PORT"]), log_level="warning", access_log=False)
