"""The ways of bounding a network."""

from __future__ import annotations

from enum import StrEnum


class Method(StrEnum):
    """How a network is bounded, by auto_LiRPA's rules.

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
