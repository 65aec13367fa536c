"""The release gate: limits on what was certified, alone and against a baseline, with waivers that expire."""

from usncli.gating.baseline import Baseline, baseline_of, read_baseline, write_baseline
from usncli.gating.checks import Check, GateResult
from usncli.gating.gate import GATE_FILE, Gate, judge
from usncli.gating.limits import EVERY, Limits
from usncli.gating.paired import Pairing, mcnemar
from usncli.gating.waivers import Waiver

__all__ = [
    "EVERY",
    "GATE_FILE",
    "Baseline",
    "Check",
    "Gate",
    "GateResult",
    "Limits",
    "Pairing",
    "Waiver",
    "baseline_of",
    "judge",
    "mcnemar",
    "read_baseline",
    "write_baseline",
]
