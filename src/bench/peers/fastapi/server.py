"""FastAPI under uvicorn around one session: a plain function, which FastAPI runs in its thread pool, and a coroutine."""

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
    return answer(request)


@app.post("/predict-async")
async def predict_async(request: Request) -> dict:
    return answer(request)


def answer(request: Request) -> dict:
    feeds = {name: np.asarray(values, dtypes[name]) for name, values in request.inputs.items()}
    outputs = session.run(names, feeds)
    return {"outputs": {name: output.tolist() for name, output in zip(names, outputs)}}


uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PEER_PORT"]), log_level="warning", access_log=False)
