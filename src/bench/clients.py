"""Real clients against a running server: tritonclient over HTTP and gRPC, KServe's InferenceClient, and plain sockets.

Started by `npm run clients`, which makes an environment for it and names addresses (host:port) and an admin token in
ATPATCH_HTTP, ATPATCH_GRPC and ATPATCH_TOKEN. tritonclient and KServe declare the same protobuf messages, so each has a
process of its own; in both, the answer over a plain socket is the truth for all that follow. Every way of asking the same question must get the
same answer; every failure must be the protocol's. Exits with 1 when a check fails.
"""

import asyncio
import gzip
import http.client
import json
import os
import queue
import subprocess
import sys

import numpy as np
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

failures = []


def check(what, holds, detail=""):
    print(f"  {'ok   ' if holds else 'WRONG'} {what}{'' if holds else f': {detail}'}")
    if not holds:
        failures.append(what)


def refused(what, call, words):
    try:
        call()
    except InferenceServerException as error:
        check(what, words in error.message(), error.message())
    else:
        check(what, False, "nothing was refused")


def made_up(shape, datatype, batch):
    """Inputs that any model takes: reals within 0 to 1, ones for ids and masks."""
    dims = [batch if axis == 0 else 8 if dim < 0 else dim for axis, dim in enumerate(shape)]
    kind = triton_to_np_dtype(datatype)
    if datatype.startswith("FP"):
        return np.random.default_rng(0).random(dims).astype(kind)
    return np.ones(dims, dtype=kind)


class Question:
    """What every client asks of one model."""

    def __init__(self, origin, name, batch=2):
        self.name = name
        described = json.loads(origin("GET", f"/v2/models/{name}")[1])
        self.inputs = [
            (i["name"], i["datatype"], made_up(i["shape"], i["datatype"], batch)) for i in described["inputs"]
        ]
        self.outputs = [(o["name"], o["datatype"]) for o in described["outputs"]]
        self.truth = {}

    def same(self, what, found):
        """The first answer is the truth for all that follow; a float32 is the same number in every encoding."""
        if not self.truth:
            self.truth = found
        equal = found.keys() == self.truth.keys() and all(
            np.array_equal(found[name], self.truth[name]) for name in found
        )
        check(f"{self.name}: {what}", equal, f"{str(found)[:200]} instead of {str(self.truth)[:200]}")

    def triton_inputs(self, library, **how):
        made = []
        for name, datatype, values in self.inputs:
            one = library.InferInput(name, list(values.shape), datatype)
            one.set_data_from_numpy(values, **how)
            made.append(one)
        return made

    def arrays(self, result):
        return {name: result.as_numpy(name) for name, _ in self.outputs}


def over_triton_http(question, url, token):
    import tritonclient.http as triton_http

    with triton_http.InferenceServerClient(url) as client:
        name = question.name
        check("http: alive and ready", client.is_server_live() and client.is_server_ready())
        check("http: model ready", client.is_model_ready(name) and client.is_model_ready(name, "1"))
        check("http: metadata", "binary_tensor_data" in client.get_server_metadata()["extensions"])
        check("http: model metadata", client.get_model_metadata(name)["platform"] == "onnx_onnxv1")
        check("http: model configuration", client.get_model_config(name)["name"] == name)
        for binary_in in (True, False):
            for binary_out in (True, False):
                inputs = question.triton_inputs(triton_http, binary_data=binary_in)
                outputs = [
                    triton_http.InferRequestedOutput(output, binary_data=binary_out)
                    for output, _ in question.outputs
                ]
                result = client.infer(name, inputs, outputs=outputs, request_id="7")
                ways = f"{'binary' if binary_in else 'json'} in, {'binary' if binary_out else 'json'} out"
                question.same(f"http, {ways}", question.arrays(result))
                check("http: id comes back", result.get_response()["id"] == "7")
        inputs = question.triton_inputs(triton_http)
        question.same("http, nothing said of outputs", question.arrays(client.infer(name, inputs)))
        for there in (None, "gzip", "deflate"):
            for back in (None, "gzip", "deflate"):
                result = client.infer(
                    name, inputs, request_compression_algorithm=there, response_compression_algorithm=back
                )
                question.same(f"http, packed by {there} there and {back} back", question.arrays(result))
        question.same("http, asynchronous", question.arrays(client.async_infer(name, inputs).get_result()))
        best = client.infer(
            name, inputs, outputs=[triton_http.InferRequestedOutput(question.outputs[0][0], class_count=2)]
        )
        classes = best.as_numpy(question.outputs[0][0])
        check("http: two classes a sample", classes.shape == (2, 2), classes)
        largest = int(np.argmax(question.truth[question.outputs[0][0]].reshape(2, -1)[0]))
        check("http: the largest first", int(classes[0][0].decode().split(":")[1]) == largest, classes)
        stats = client.get_inference_statistics(name)["model_stats"][0]
        check("http: statistics", stats["inference_count"] >= 30 and stats["inference_stats"]["success"]["ns"] > 0)
        check("http: statistics of all", len(client.get_inference_statistics()["model_stats"]) >= 1)
        who = {"Authorization": f"Bearer {token}"}
        index = client.get_model_repository_index(headers=who)
        check("http: repository index", any(entry["name"] == name for entry in index), index)
        active = [entry["version"] for entry in index if entry["name"] == name and entry["state"] == "READY"]
        client.unload_model(name, headers=who)
        left = client.get_model_repository_index(headers=who)
        check("http: unloaded", not any(e["name"] == name and e["state"] == "READY" for e in left), left)
        if active:
            client.load_model(name, headers=who, config=json.dumps({"detector": active[0]}))
            back = client.get_model_repository_index(headers=who)
            check("http: loaded again", {"name": name, "version": active[0], "state": "READY", "reason": ""} in back)
        refused("http: index without a token", client.get_model_repository_index, "token is needed")
        refused("http: unknown model", lambda: client.infer("none", inputs), 'no model "none"')
        wrong = triton_http.InferInput(question.inputs[0][0], [1, 1], "FP64")
        wrong.set_data_from_numpy(np.zeros([1, 1]))
        refused("http: wrong shape", lambda: client.infer(name, [wrong]), "got FP64 [1, 1]")


def over_triton_grpc(question, url, token):
    import grpc
    import tritonclient.grpc as triton_grpc
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    with triton_grpc.InferenceServerClient(url) as client:
        name = question.name
        check("grpc: alive and ready", client.is_server_live() and client.is_server_ready())
        check("grpc: model ready", client.is_model_ready(name) and client.is_model_ready(name, "1"))
        check("grpc: metadata", "statistics" in client.get_server_metadata().extensions)
        check("grpc: model metadata", client.get_model_metadata(name).platform == "onnx_onnxv1")
        check("grpc: model configuration", client.get_model_config(name).config.max_batch_size > 0)
        inputs = question.triton_inputs(triton_grpc)
        result = client.infer(name, inputs, request_id="7", client_timeout=30)
        question.same("grpc", question.arrays(result))
        check("grpc: id comes back", result.get_response().id == "7")
        for algorithm in ("gzip", "deflate"):
            packed = client.infer(name, inputs, compression_algorithm=algorithm)
            question.same(f"grpc, packed by {algorithm}", question.arrays(packed))
        answers = queue.Queue()
        client.async_infer(name, inputs, lambda result, error: answers.put((result, error)))
        question.same("grpc, asynchronous", question.arrays(answers.get(timeout=30)[0]))
        client.start_stream(lambda result, error: answers.put((result, error)))
        for request_id in ("a", "b"):
            client.async_stream_infer(name, inputs, request_id=request_id, enable_empty_final_response=True)
        client.async_stream_infer("none", inputs, request_id="c")
        streamed = [answers.get(timeout=30) for _ in range(3)]
        client.stop_stream()
        check("grpc: stream in order", [r.get_response().id for r, _ in streamed[:2]] == ["a", "b"])
        check("grpc: failure in the stream", "no model" in str(streamed[2][1]), streamed[2])
        question.same("grpc, streamed", question.arrays(streamed[0][0]))
        classes = client.infer(
            name, inputs, outputs=[triton_grpc.InferRequestedOutput(question.outputs[0][0], class_count=2)]
        ).as_numpy(question.outputs[0][0])
        check("grpc: two classes a sample", classes.shape == (2, 2), classes)
        stats = client.get_inference_statistics(name).model_stats[0]
        check("grpc: statistics", stats.inference_count > 0 and stats.inference_stats.queue.count > 0)
        who = {"authorization": f"Bearer {token}"}
        index = client.get_model_repository_index(headers=who)
        check("grpc: repository index", any(entry.name == name for entry in index.models))
        refused("grpc: index without a token", client.get_model_repository_index, "token is needed")
        refused("grpc: unknown model", lambda: client.infer("none", inputs), 'no model "none"')
        refused("grpc: a deadline that is over", lambda: client.infer(name, inputs, client_timeout=1e-6), "eadline")
    with grpc.insecure_channel(url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        typed = service_pb2.ModelInferRequest(model_name=name)
        field = {"FP32": "fp32_contents", "INT64": "int64_contents", "INT32": "int_contents", "FP64": "fp64_contents"}
        for input_name, datatype, values in question.inputs:
            one = typed.inputs.add(name=input_name, datatype=datatype, shape=values.shape)
            getattr(one.contents, field[datatype]).extend(values.reshape(-1).tolist())
        answer = stub.ModelInfer(typed)
        found = {}
        for output in answer.outputs:
            kind = triton_to_np_dtype(output.datatype)
            values = getattr(output.contents, field[output.datatype])
            found[output.name] = np.array(values, dtype=kind).reshape(list(output.shape))
        question.same("grpc, typed contents", found)


async def over_triton_aio(question, http_url, grpc_url):
    import tritonclient.grpc as triton_grpc
    import tritonclient.grpc.aio as triton_grpc_aio
    import tritonclient.http.aio as triton_http_aio

    async with triton_http_aio.InferenceServerClient(http_url) as client:
        result = await client.infer(question.name, question.triton_inputs(triton_http_aio))
        question.same("http, aio", question.arrays(result))
    async with triton_grpc_aio.InferenceServerClient(grpc_url) as client:
        result = await client.infer(question.name, question.triton_inputs(triton_grpc))
        question.same("grpc, aio", question.arrays(result))


async def over_kserve(question, http_url, grpc_url):
    import kserve
    from kserve.inference_client import InferenceGRPCClient, InferenceRESTClient, RESTConfig

    def request(binary):
        inputs = []
        for name, datatype, values in question.inputs:
            one = kserve.InferInput(name, list(values.shape), datatype)
            one.set_data_from_numpy(values, binary_data=binary)
            inputs.append(one)
        return kserve.InferRequest(question.name, inputs)

    def arrays(answer):
        return {output.name: output.as_numpy() for output in answer.outputs}

    base = f"http://{http_url}"
    rest = InferenceRESTClient(RESTConfig(protocol="v2"))
    check("kserve rest: alive and ready", await rest.is_server_live(base) and await rest.is_server_ready(base))
    check("kserve rest: model ready", await rest.is_model_ready(base, question.name))
    for binary in (True, False):
        answer = await rest.infer(base, request(binary), model_name=question.name)
        question.same(f"kserve rest, {'binary' if binary else 'json'}", arrays(answer))
    await rest.close()
    async with InferenceGRPCClient(grpc_url) as client:
        check("kserve grpc: alive and ready", await client.is_server_live() and await client.is_server_ready())
        check("kserve grpc: model ready", await client.is_model_ready(question.name))
        for binary in (True, False):
            answer = await client.infer(request(binary))
            question.same(f"kserve grpc, {'raw' if binary else 'typed'}", arrays(answer))


def over_sockets(question, origin):
    """What load generators and scripts send: no content type, chunks, a bare tensor."""
    body = json.dumps(
        {
            "inputs": [
                {"name": name, "datatype": datatype, "shape": values.shape, "data": values.tolist()}
                for name, datatype, values in question.inputs
            ]
        }
    ).encode()
    path = f"/v2/models/{question.name}/infer"

    def arrays(answer):
        status, payload, _ = answer
        if status != 200:
            return {"status": status, "error": payload}
        return {
            output["name"]: np.array(output["data"], dtype=triton_to_np_dtype(output["datatype"])).reshape(
                output["shape"]
            )
            for output in json.loads(payload)["outputs"]
        }

    question.same("socket, no content type", arrays(origin("POST", path, body)))
    question.same("socket, octets that are JSON", arrays(origin("POST", path, body, {"content-type": "application/octet-stream"})))
    packed = {"content-encoding": "gzip", "content-type": "application/json"}
    question.same("socket, gzip", arrays(origin("POST", path, gzip.compress(body), packed)))
    pieces = (body[at : at + 1000] for at in range(0, len(body), 1000))
    question.same("socket, in chunks", arrays(origin("POST", path, pieces)))
    if len(question.inputs) == 1:
        _, _, values = question.inputs[0]
        octets = {"content-type": "application/octet-stream"}
        for extra in ({}, {"inference-header-content-length": "0"}):
            status, payload, headers = origin("POST", path, values.tobytes(), {**octets, **extra})
            length = int(headers.get("inference-header-content-length", 0))
            found, at = {}, length
            for output in json.loads(payload[:length])["outputs"]:
                size = output["parameters"]["binary_data_size"]
                kind = triton_to_np_dtype(output["datatype"])
                found[output["name"]] = np.frombuffer(payload[at : at + size], dtype=kind).reshape(output["shape"])
                at += size
            question.same(f"socket, bare tensor {extra}", found)
    status, payload, _ = origin("POST", path, b"\xff" * 7, {"inference-header-content-length": "9"})
    check("socket: a wrong length is refused", status == 400 and "expected a whole number" in payload.decode(), payload)


def main():
    # Not as arguments: kserve reads those itself when it is imported.
    http_url, grpc_url, token = (os.environ[f"ATPATCH_{name}"] for name in ("HTTP", "GRPC", "TOKEN"))

    def origin(method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(http_url, timeout=60)
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        payload = answer.read()
        connection.close()
        return answer.status, payload, {name.lower(): value for name, value in answer.getheaders()}

    client = os.environ.get("ATPATCH_CLIENT", "tritonclient")
    for name in json.loads(origin("GET", "/v2/models")[1])["models"]:
        print(f"\n{name}, {client}", flush=True)
        question = Question(origin, name)
        over_sockets(question, origin)
        if client == "kserve":
            asyncio.run(over_kserve(question, http_url, grpc_url))
        else:
            over_triton_http(question, http_url, token)
            over_triton_grpc(question, grpc_url, token)
            asyncio.run(over_triton_aio(question, http_url, grpc_url))
    print(f"\n{len(failures)} checks failed" if failures else "\nevery check holds", flush=True)
    other = 0
    if client != "kserve":
        other = subprocess.run([sys.executable, __file__], env={**os.environ, "ATPATCH_CLIENT": "kserve"}).returncode
    raise SystemExit(1 if failures or other else 0)


if __name__ == "__main__":
    main()
