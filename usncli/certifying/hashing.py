"""SHA-256 of what a verdict is about: a network's graph and numbers, and images."""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

import torch
from torch import Tensor, fx

from usncli.loading.graph_json import graph_to_json
from usncli.loading.pipeline import Pipeline
from usncli.types import Sample


class NetworkHash(NamedTuple):
    """A network, by two digests in hexadecimal.

    Attributes:
        graph: of its operations, in order, with their constants.
        weights: of every tensor by name, shape and dtype, bit by bit.
    """

    graph: str
    weights: str


def hash_network(pipeline: Pipeline) -> NetworkHash:
    """Return the digests of a pipeline's captured network; normalisation is not part of it.

    Raises:
        UnsupportedOperationError: the network holds what no captured network does.
    """
    network = pipeline.network
    assert isinstance(network, fx.GraphModule)
    graph = json.dumps(graph_to_json(network.graph), sort_keys=True)
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(_bytes(tensor))
    return NetworkHash(hashlib.sha256(graph.encode()).hexdigest(), digest.hexdigest())


def hash_sample(sample: Sample) -> str:
    """Return the digest of an image as the network gets it, its label and its name."""
    digest = hashlib.sha256(sample.name.encode())
    for tensor in (sample.image, sample.target):
        digest.update(str(tuple(tensor.shape)).encode() + _bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    content: bytes = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    return content
