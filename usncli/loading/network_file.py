"""A network in one file that loads without pickle and without the user's code.

The file is in the safetensors format. Its tensors are the network's; the header's metadata holds, as JSON under the key
``usn``: the format's version, the graph, the constructor arguments of each layer, the preprocessing, the task, and a
record of how the network came to be, such as what was cut. The same network gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, fx, nn

from usncli.errors import ConfigurationError, InputError, UnsupportedOperationError
from usncli.files import write_atomically
from usncli.loading.emission import assign
from usncli.loading.graph_json import graph_from_json, graph_to_json, is_dotted_name
from usncli.loading.layer_types import LAYER_TYPES, build_layer, layer_arguments
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.types import Task

METADATA_KEY = "usn"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class SavedNetwork:
    """What a network file holds.

    Attributes:
        pipeline: the captured network with its preprocessing and task, in evaluation mode, on the CPU.
        record: JSON values that tell how the network came to be.
    """

    pipeline: Pipeline
    record: Mapping[str, Any]


def save_network(path: Path, pipeline: Pipeline, record: Mapping[str, Any]) -> None:
    """Write a captured network to one file, atomically.

    Args:
        path: the file to write, by custom ending in ``.safetensors``.
        pipeline: its ``network`` is what `capture.capture` returns, possibly cut or trained since.
        record: JSON values.

    Raises:
        UnsupportedOperationError: the network holds a layer or operation that no captured network has.
    """
    network = pipeline.network
    if not isinstance(network, fx.GraphModule):
        raise UnsupportedOperationError(f"expected a captured network, got {type(network).__name__}; capture it first")
    layers = _layers_to_json(network)
    header = {
        "format": FORMAT_VERSION,
        "graph": graph_to_json(network.graph),
        "layers": layers,
        "tensors": _tensors_to_json(network, layers),
        "preprocessing": pipeline.preprocessing.to_record(),
        "task": str(pipeline.task),
        "record": dict(record),
    }
    # One key, so that no hash map between here and the file decides an order.
    metadata = {METADATA_KEY: json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False)}
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in network.state_dict().items()}
    write_atomically(path, lambda temporary: save_file(tensors, temporary, metadata))


def load_network(path: Path) -> SavedNetwork:
    """Read a file that `save_network` wrote.

    Raises:
        InputError: the file is missing, truncated, of another format or version, or does not hold together.
    """
    tensors, metadata = read_safetensors(path)
    if METADATA_KEY not in metadata:
        raise InputError(f"{path}: expected a network written by usn, got tensors alone; give --arch to load weights")
    try:
        return _assemble(json.loads(metadata[METADATA_KEY]), tensors)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, ConfigurationError) as error:
        raise InputError(f"{path}: its header does not describe a network ({type(error).__name__}: {error})") from error


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return a safetensors file's tensors and metadata.

    Raises:
        InputError: the file cannot be read as safetensors.
    """
    with _open(path) as file:
        return {name: file.get_tensor(name).clone() for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118


def safetensors_metadata(path: Path) -> dict[str, str]:
    """Return a safetensors file's metadata alone.

    Raises:
        InputError: the file cannot be read as safetensors.
    """
    with _open(path) as file:
        return dict(file.metadata() or {})


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a whole safetensors file ({str(error).splitlines()[0]})") from error


def _layers_to_json(network: fx.GraphModule) -> dict[str, dict[str, Any]]:
    layers: dict[str, dict[str, Any]] = {}
    for node in network.graph.find_nodes(op="call_module"):
        layer = network.get_submodule(str(node.target))
        arguments = layer_arguments(layer)
        if arguments is None:
            raise UnsupportedOperationError(
                f"{node.target} is a {type(layer).__name__}, which no captured network holds", [str(node.target)]
            )
        layers[str(node.target)] = {"kind": type(layer).__name__, "arguments": arguments}
    return layers


def _tensors_to_json(network: fx.GraphModule, layers: Mapping[str, Any]) -> dict[str, str]:
    """Name the tensors that belong to no layer, and say which of them train."""
    parameters = dict(network.named_parameters())
    owned = {f"{name}.{part}" for name in layers for part in network.get_submodule(name).state_dict()}
    return {name: "parameter" if name in parameters else "buffer" for name in network.state_dict() if name not in owned}


def _assemble(header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> SavedNetwork:
    if header["format"] != FORMAT_VERSION:
        raise InputError(f"its format is version {header['format']}; expected {FORMAT_VERSION}: install another usncli")
    root = nn.Module()
    for name, layer in sorted(header["layers"].items()):
        _check_name(name)
        if layer["kind"] not in LAYER_TYPES:
            raise InputError(f"its layer {name} is a {str(layer['kind'])[:60]}, which no captured network holds")
        assign(root, name, build_layer(layer["kind"], layer["arguments"]))
    for name, role in sorted(header["tensors"].items()):
        _check_name(name)
        tensor = _stored(tensors, name)
        assign(root, name, nn.Parameter(tensor) if role == "parameter" else tensor)
    _fill(root, tensors)
    graph = graph_from_json(header["graph"])
    _check_references(root, graph)
    network = fx.GraphModule(root, graph, class_name="CapturedNetwork").eval()
    preprocessing = Preprocessing.from_record(header["preprocessing"])
    pipeline = Pipeline(network, preprocessing, Task(header["task"])).eval()
    _probe(pipeline)
    return SavedNetwork(pipeline, header["record"])


def _check_name(name: str) -> None:
    if not is_dotted_name(name):
        raise InputError(f"it names a layer or tensor {name[:60]!r}, which is no name of one")


def _stored(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise InputError(f"the tensor {name} is missing")
    return tensors[name]


def _fill(root: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    expected = root.state_dict()
    for name, tensor in expected.items():
        if _stored(tensors, name).shape != tensor.shape:
            raise InputError(
                f"the tensor {name} has shape {tuple(tensors[name].shape)}, expected {tuple(tensor.shape)}"
            )
    unexpected = sorted(set(tensors) - set(expected))
    if unexpected:
        raise InputError(f"the tensor {unexpected[0]} belongs to no layer")
    root.load_state_dict(dict(tensors), assign=True)


def _check_references(root: nn.Module, graph: fx.Graph) -> None:
    layers = {name for name, layer in root.named_modules() if type(layer) in LAYER_TYPES.values()}
    state = set(root.state_dict())
    for node in graph.nodes:
        if node.op == "call_module" and node.target not in layers:
            raise InputError(f"its graph calls a layer {node.target} that is not described")
        if node.op == "get_attr" and node.target not in state:
            raise InputError(f"its graph uses a tensor {node.target} that is missing")


def _probe(pipeline: Pipeline) -> None:
    """Run once on a black image, so that a graph that cannot run is found now."""
    try:
        with torch.no_grad():
            pipeline(torch.zeros(1, *pipeline.preprocessing.input_shape))
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"its network does not run ({type(error).__name__}: {str(error).splitlines()[0]})") from error
