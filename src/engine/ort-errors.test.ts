import { describe, expect, it } from "vitest";
import { cleanRuntimeMessage } from "./ort-errors.ts";

describe("cleanRuntimeMessage", () => {
  it.each([
    [
      "Non-zero status code returned while running MatMul node. Name:'/layer.0/MatMul' Status Message: matmul_helper.h:59 Compute MatMul dimension mismatch",
      'node "/layer.0/MatMul" (MatMul): MatMul dimension mismatch',
    ],
    [
      "Non-zero status code returned while running Or node. Name:'' Status Message: /build/core/providers/cpu/element_wise_ops.h:563 void onnxruntime::BroadcastIterator::Init(ptrdiff_t, ptrdiff_t) axis == 1 || axis == largest was false. Attempting to broadcast an axis by a dimension other than 1. 3 by 5\n",
      "a node of type Or: Attempting to broadcast an axis by a dimension other than 1. 3 by 5",
    ],
    [
      "/build/core/reshape_helper.h:47 onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, onnxruntime::TensorShapeVector&, bool) input_shape_size == size was false. The input tensor cannot be reshaped to the requested shape. Input shape:{2,4}, requested shape:{3,3}",
      "The input tensor cannot be reshaped to the requested shape. Input shape:{2,4}, requested shape:{3,3}",
    ],
    [
      'External data path validation failed for initializer: w. Error: tensorprotoutils.cc:461 ValidateExternalDataPathFromDir External data path does not exist: "/srv/models/m/weights.bin"',
      'External data path validation failed for initializer: w. Error: External data path does not exist: "weights.bin"',
    ],
    ["Load model from /srv/models/m/model.onnx failed", "Load model from model.onnx failed"],
    [
      "Invalid rank for input: x Got: 3 Expected: 2 Please fix either the inputs/outputs or the model.",
      "Invalid rank for input: x Got: 3 Expected: 2 Please fix either the inputs/outputs or the model.",
    ],
  ])("%s", (message, expected) => {
    expect(cleanRuntimeMessage(message, "/srv/models/m")).toBe(expected);
  });
});
