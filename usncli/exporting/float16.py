"""Weights stored in float16: a smaller file, and another network."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from usncli.errors import InputError

WEIGHT_INPUTS = {"Conv": (1,), "ConvTranspose": (1,), "Gemm": (1,), "MatMul": (0, 1)}
"""Inputs of operators that are weights of convolutions and linear layers, where they are stored tensors."""

NOTE = "weights rounded to float16: another network than the source; no certificate of the source holds for it"
"""What the file's metadata say under the key ``float16``."""


def store_as_float16(model: onnx.ModelProto) -> None:
    """Round the weights of convolutions and linear layers to float16, in place; a Cast makes them float32 again.

    What is computed stays float32, so that the network is the one with the rounded weights, exactly, on any runtime:
    ``usn certify`` reads it and certifies just that. Biases, and the constants of normalisation, stay as they are.

    Raises:
        InputError: a weight is beyond float16's range (65,504).
    """
    graph = model.graph
    used = [node.input[index] for node in graph.node for index in WEIGHT_INPUTS.get(node.op_type, ())]
    weights = [tensor for tensor in graph.initializer if tensor.name in used and tensor.data_type == tensor.FLOAT]
    casts = []
    for tensor in weights:
        values = numpy_helper.to_array(tensor)
        if float(np.abs(values).max(initial=0.0)) > float(np.finfo(np.float16).max):
            raise InputError(
                f"float16: the weight {tensor.name} is beyond its range (65,504); export without --float16"
            )
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.float16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}.cast", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    kept = [info for info in graph.value_info if info.name not in {cast.output[0] for cast in casts}]
    del graph.value_info[:]
    graph.value_info.extend(kept)
