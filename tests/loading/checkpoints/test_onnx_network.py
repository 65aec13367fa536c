from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import loading_networks
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from usncli.errors import InputError, UnsupportedOperationError
from usncli.loading.checkpoint import CheckpointSource, LoadedCheckpoint, load_checkpoint
from usncli.loading.checkpoints.kinds import CheckpointKind
from usncli.loading.checkpoints.onnx_network import load_onnx
from usncli.loading.preprocessing import KeypointUnits, Preprocessing
from usncli.types import Task

SHAPE = (3, 8, 8)
GENERATOR = np.random.default_rng(0)


def load(path: Path, task: Task = Task.KEYPOINTS) -> LoadedCheckpoint:
    return load_checkpoint(CheckpointSource(path), Preprocessing(16, 16), task)


@pytest.mark.parametrize(
    ("name", "dynamo", "fixed"), [("mobile", True, False), ("unet", False, True), ("residual", False, True)]
)
def test_reads_what_torch_writes(name: str, dynamo: bool, fixed: bool, images: Tensor, tmp_path: Path) -> None:
    network = getattr(loading_networks, name)().eval()
    path = tmp_path / "network.onnx"
    shapes = None if fixed else ({0: torch.export.Dim("batch")},)
    example = images[: 1 if fixed else 2].clone()
    torch.onnx.export(
        network, (example,), path, dynamo=dynamo, dynamic_shapes=shapes, verbose=False, external_data=False
    )
    loaded = load(path, Task.HEATMAPS if name == "unet" else Task.KEYPOINTS)
    with torch.no_grad():
        torch.testing.assert_close(loaded.pipeline.network(images), network(images), rtol=1e-5, atol=1e-5)
    assert loaded.kind == CheckpointKind.ONNX
    *freed, agreement = loaded.notes
    assert agreement.startswith("agrees with onnxruntime to ")
    assert freed == (["was written for a batch of 1; captured for any batch"] if fixed else [])


def tensor(name: str, *size: int) -> onnx.TensorProto:
    return numpy_helper.from_array(GENERATOR.uniform(0.1, 1, size).astype(np.float32), name)


def numbers(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=np.int64), name)


def model(
    nodes: Sequence[onnx.NodeProto],
    stored: Sequence[onnx.TensorProto] = (),
    opset: int = 18,
    batch: int | str = "batch",
) -> onnx.ModelProto:
    """A graph from ``x`` to ``y``."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *SHAPE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        list(stored),
    )
    written = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.users", 1)], ir_version=9
    )
    inferred = onnx.shape_inference.infer_shapes(written)
    inferred.graph.output[0].type.tensor_type.shape.SetInParent()
    return inferred


def node(operation: str, *inputs: str, output: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operation, ["x", *inputs], [output], **attributes)


SINGLE: dict[str, onnx.ModelProto] = {
    **{name: model([node(name)]) for name in ("Relu", "Tanh", "HardSwish", "Softplus", "Erf", "Abs", "HardSigmoid")},
    **{name: model([node(name)]) for name in ("GlobalAveragePool", "GlobalMaxPool", "Sqrt", "Mish", "Elu", "Selu")},
    "Gelu": model([node("Gelu")], opset=20),
    "LeakyRelu": model([node("LeakyRelu", alpha=0.2)]),
    "Softmax": model([node("Softmax", axis=1)]),
    "Clip by input": model(
        [node("Clip", "low", "high")],
        [numpy_helper.from_array(np.float32(0.2), "low"), numpy_helper.from_array(np.float32(0.7), "high")],
    ),
    "Clip by attribute": model([node("Clip", max=0.6)], opset=10),
    "Conv, same padding": model([node("Conv", "w", auto_pad="SAME_UPPER", strides=[2, 2])], [tensor("w", 4, 3, 4, 4)]),
    "Conv, uneven padding": model([node("Conv", "w", pads=[1, 0, 2, 1])], [tensor("w", 4, 3, 3, 3)]),
    "Conv, grouped": model(
        [node("Conv", "w", "b", group=3, dilations=[2, 1])], [tensor("w", 6, 1, 3, 2), tensor("b", 6)]
    ),
    "ConvTranspose": model(
        [node("ConvTranspose", "w", "b", strides=[2, 2], output_padding=[1, 1], pads=[1, 1, 1, 1])],
        [tensor("w", 3, 4, 3, 3), tensor("b", 4)],
    ),
    "BatchNormalization": model([node("BatchNormalization", *"sbmv")], [tensor(name, 3) for name in "sbmv"]),
    "InstanceNormalization": model([node("InstanceNormalization", *"sb")], [tensor(name, 3) for name in "sb"]),
    "LayerNormalization": model([node("LayerNormalization", *"sb", axis=-1)], [tensor(name, 8) for name in "sb"]),
    "GroupNormalization": model(
        [node("GroupNormalization", *"sb", num_groups=3)], [tensor(name, 3) for name in "sb"], opset=21
    ),
    "PRelu": model([node("PRelu", "slope")], [tensor("slope", 3, 1, 1)]),
    "MaxPool, uneven padding": model([node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])]),
    "MaxPool, ceil": model([node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)]),
    "AveragePool": model([node("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=0)]),
    "Reshape with 0 and -1": model([node("Reshape", "to")], [numbers("to", 0, 3, -1)]),
    "Flatten": model([node("Flatten")]),
    "Transpose": model([node("Transpose", perm=[0, 2, 3, 1])]),
    "Slice": model(
        [node("Slice", "from", "to", "axes", "steps")],
        [numbers("from", 1, -7), numbers("to", 3, 9223372036854775807), numbers("axes", 1, 3), numbers("steps", 1, 2)],
    ),
    "Pad, reflect": model([node("Pad", "pads", mode="reflect")], [numbers("pads", 0, 0, 1, 2, 0, 0, 2, 1)]),
    "Pad, constant": model([node("Pad", "pads")], [numbers("pads", 0, 1, 1, 2, 0, 0, 2, 1)]),
    "Resize, nearest": model(
        [node("Resize", "", "by", coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
        [numpy_helper.from_array(np.array([1, 1, 2, 3], dtype=np.float32), "by")],
    ),
    "Resize, linear to a size": model(
        [node("Resize", "", "", "to", mode="linear", coordinate_transformation_mode="align_corners")],
        [numbers("to", 1, 3, 12, 16)],
        batch=1,
    ),
    "Resize, cubic": model(
        [node("Resize", "", "by", mode="cubic", coordinate_transformation_mode="half_pixel")],
        [numpy_helper.from_array(np.array([1, 1, 2, 2], dtype=np.float32), "by")],
    ),
    "Upsample": model(
        [node("Upsample", "by")], [numpy_helper.from_array(np.array([1, 1, 2, 2], dtype=np.float32), "by")], opset=9
    ),
    "DepthToSpace": model([node("DepthToSpace", blocksize=1)]),
    "ReduceMean": model([node("ReduceMean", "axes", keepdims=0)], [numbers("axes", 2, 3)]),
    "ReduceMax": model([node("ReduceMax", axes=[1], keepdims=1)], opset=13),
    "Gather": model([node("Gather", "index", axis=1)], [numbers("index", 2, 0)]),
    "Pow by a number": model([node("Pow", "two")], [numpy_helper.from_array(np.float32(2), "two")]),
    "Sub from a constant": model([helper.make_node("Sub", ["c", "x"], ["y"])], [tensor("c", 1, 3, 1, 1)]),
    "Tile": model([node("Tile", "times")], [numbers("times", 1, 2, 1, 1)]),
    "Split": model(
        [
            helper.make_node("Split", ["x"], ["first", "second"], axis=2, num_outputs=2),
            helper.make_node("Concat", ["second", "first"], ["y"], axis=2),
        ]
    ),
    "Where": model(
        [node("Greater", "c", output="m"), helper.make_node("Where", ["m", "x", "c"], ["y"])], [tensor("c", 3, 1, 1)]
    ),
    "Gemm with factors": model(
        [node("Flatten", output="f"), helper.make_node("Gemm", ["f", "w", "b"], ["y"], alpha=0.5, beta=2.0)],
        [tensor("w", 192, 5), tensor("b", 1, 5)],
    ),
    "MatMul and Add": model(
        [
            node("Flatten", output="f"),
            helper.make_node("MatMul", ["f", "w"], ["m"]),
            helper.make_node("Add", ["m", "b"], ["y"]),
        ],
        [tensor("w", 192, 5), tensor("b", 5)],
    ),
    "Flatten by computed shape": model(
        [
            node("Shape", output="s"),
            helper.make_node("Gather", ["s", "zero"], ["n"], axis=0),
            helper.make_node("Unsqueeze", ["n", "axis"], ["u"]),
            helper.make_node("Concat", ["u", "rest"], ["to"], axis=0),
            node("Reshape", "to"),
        ],
        [numpy_helper.from_array(np.array(0), "zero"), numbers("axis", 0), numbers("rest", -1)],
    ),
    "Reshape for one image": model([node("Reshape", "to")], [numbers("to", 1, 192)], batch=1),
    "Expand by computed shape": model(
        [
            node("Shape", output="s"),
            helper.make_node("Expand", ["c", "s"], ["e"]),
            node("Mul", "e"),
        ],
        [tensor("c", 1, 3, 1, 1)],
    ),
}


@pytest.mark.parametrize("name", SINGLE)
def test_agrees_with_onnxruntime(name: str, tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    onnx.save(SINGLE[name], path)
    example = torch.rand((2, *SHAPE), generator=torch.Generator().manual_seed(3))
    network, notes = load_onnx(path, example)
    assert float(notes[-1].rsplit(" ", 1)[1]) < 1e-5
    alone = torch.cat([network(image[None]) for image in example])
    torch.testing.assert_close(network(example), alone, rtol=1e-5, atol=1e-5)


def test_a_matrix_product_with_its_bias_is_one_linear_layer(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    onnx.save(SINGLE["MatMul and Add"], path)
    network, _ = load_onnx(path, torch.rand(2, *SHAPE))
    (layer,) = [network.get_submodule(str(node.target)) for node in network.graph.nodes if node.op == "call_module"]
    assert isinstance(layer, nn.Linear)
    assert layer.bias is not None


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (model([node("LRN", size=3)]), r"ONNX operators that usn cannot capture: LRN"),
        (model([helper.make_node("Relu", ["x"], ["y"], domain="com.users")]), "com.users.Relu"),
        (
            model([node("MaxPool", kernel_shape=[2, 2]), node("Softmax", axis=2)][1:], opset=11),
            "over several dimensions",
        ),
        (model([node("Flatten", axis=2)]), "across the batch"),
        (model([node("RandomNormalLike")]), "RandomNormalLike"),
    ],
)
def test_names_what_cannot_be_captured(network: onnx.ModelProto, message: str, tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    onnx.save(network, path)
    with pytest.raises((UnsupportedOperationError, InputError), match=message) as caught:
        load_onnx(path, torch.rand(2, *SHAPE))
    assert "\n" not in str(caught.value)


def test_says_which_images_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    onnx.save(SINGLE["Relu"], path)
    with pytest.raises(InputError, match="takes float images of 3x8x8, the settings say float images of 1x8x8"):
        load_onnx(path, torch.rand(2, 1, 8, 8))
    two = model([node("Relu")])
    two.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))
    onnx.save(two, path)
    with pytest.raises(InputError, match="has 2 inputs and 1 outputs; expected one image and one prediction"):
        load_onnx(path, torch.rand(2, *SHAPE))


def test_damaged_files_and_weights(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    onnx.save(SINGLE["Gemm with factors"], path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="not a whole ONNX file") as caught:
        load_onnx(path, torch.rand(2, *SHAPE))
    assert "\n" not in str(caught.value)
    spoilt = tensor("w", 4, 3, 1, 1)
    spoilt.CopyFrom(numpy_helper.from_array(np.full((4, 3, 1, 1), np.nan, dtype=np.float32), "w"))
    onnx.save(model([node("Conv", "w", name="stem/conv")], [spoilt]), path)
    with pytest.raises(InputError, match=r"stem\.conv\.weight holds 12 of 12 values"):
        load_onnx(path, torch.rand(2, *SHAPE))


@pytest.fixture
def exported_by_usn(tmp_path: Path) -> Path:
    """What ``usn export`` writes about itself; the normalisation is part of the graph."""
    network = model([node("Sub", "half", output="n"), helper.make_node("Flatten", ["n"], ["y"])], [tensor("half", 1)])
    original = Preprocessing(8, 8, mean=(0.5,), std=(0.2,), keypoint_units=KeypointUnits.CENTRED)
    helper.set_model_props(
        network,
        {
            "usn.task": "keypoints",
            "usn.preprocessing": json.dumps(original.to_record()),
            "usn.preprocessing_included": "true",
            "usn.keypoint_units": "pixel",
        },
    )
    path = tmp_path / "network.onnx"
    onnx.save(network, path)
    return path


def test_what_usn_exported_brings_its_settings_and_is_not_normalised_twice(exported_by_usn: Path) -> None:
    loaded = load_checkpoint(CheckpointSource(exported_by_usn), None, None)
    assert loaded.pipeline.task == Task.KEYPOINTS
    assert loaded.pipeline.preprocessing == Preprocessing(8, 8, keypoint_units=KeypointUnits.PIXEL)
    image = torch.rand(1, *SHAPE)
    assert torch.equal(loaded.pipeline(image).flatten(1), loaded.pipeline.network(image))


def test_settings_beside_what_usn_exported_must_be_those_of_training(exported_by_usn: Path) -> None:
    source = CheckpointSource(exported_by_usn)
    original = Preprocessing(8, 8, mean=(0.5,), std=(0.2,))
    expected = load_checkpoint(source, None, None).pipeline.preprocessing
    assert load_checkpoint(source, original, Task.KEYPOINTS).pipeline.preprocessing == expected
    with pytest.raises(InputError, match=r"settings differ.*std \[0\.3"):
        load_checkpoint(source, Preprocessing(8, 8, mean=(0.5,), std=(0.3,)), Task.KEYPOINTS)
