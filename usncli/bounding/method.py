"""The engines that bound a network, what their verdicts hold for, and auto_LiRPA's methods."""

from __future__ import annotations

from enum import StrEnum


class Engine(StrEnum):
    """Which engine bounds the network.

    - ``auto``: our own; what it leaves undecided goes to auto_LiRPA, where that is installed and knows the operations.
    - ``usn``: our own alone.
    - ``lirpa``: auto_LiRPA alone.
    """

    AUTO = "auto"
    USN = "usn"
    LIRPA = "lirpa"


class Arithmetic(StrEnum):
    """What network a certified verdict is about.

    - ``real``: the network in exact arithmetic; the bounds' own rounding is accounted for.
    - ``float32``: the network as executed in float32, in any order of summation. Our own engine only.
    """

    REAL = "real"
    FLOAT32 = "float32"


class Method(StrEnum):
    """How auto_LiRPA bounds a network.

    - ``forward+backward``: a forward pass for inner layers; for outputs backward passes that reach as far back as pays.
    - ``forward``: a forward pass alone.
    - ``crown``: backward passes from every layer.
    - ``ibp``: interval bounds.
    - ``crown-ibp``: interval bounds for inner layers, a backward pass for the outputs.
    """

    FORWARD_BACKWARD = "forward+backward"
    FORWARD = "forward"
    CROWN = "crown"
    IBP = "ibp"
    CROWN_IBP = "crown-ibp"
