"""``usn doctor``: what this machine has and lacks, with the line that installs it; then the checkpoint, if any."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from typing import NamedTuple

from rich.table import Table

from usncli.cli.console import Consoles
from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.invocation import Invocation
from usncli.cli.preflight import look_at_checkpoint
from usncli.errors import UsnError
from usncli.runs.versions import PACKAGES, package_version
from usncli.settings import DoctorSettings

ALTERNATIVES = {"onnxruntime": "onnxruntime-gpu", "onnxruntime-gpu": "onnxruntime"}
"""Distributions of which one is enough."""

INSTALL_LINES = {
    "auto_LiRPA": "pip install --no-deps auto_LiRPA==0.3",
    "torch-pruning": "pip install torch-pruning==1.6.1",
}
"""How to install what ``pip install NAME`` would not."""
OPTIONAL = frozenset({"auto_LiRPA", "bound engine lirpa", "onnxruntime", "onnxruntime-gpu"})
"""What a checkpoint can be looked at without."""


class Finding(NamedTuple):
    """One line of the doctor's table.

    Attributes:
        what: what was looked at.
        found: what was found, empty where it is missing.
        remedy: what to type, where something is missing.
    """

    what: str
    found: str
    remedy: str = ""


def findings() -> Iterator[Finding]:
    """Look at Python, packages, devices, bound engines and ONNX providers, one by one."""
    yield Finding("Python", platform.python_version())
    yield from (finding for name in PACKAGES if (finding := package_finding(name)))
    if package_version("torch"):
        yield from device_findings()
        yield engine_finding()
    if package_version("torch") and (package_version("onnxruntime") or package_version("onnxruntime-gpu")):
        yield provider_finding()


def package_finding(name: str) -> Finding | None:
    """Look for a package; None where its alternative stands in for it."""
    version = package_version(name)
    if version is None and package_version(ALTERNATIVES.get(name, name)):
        return None
    return Finding(name, version or "", "" if version else INSTALL_LINES.get(name, f"pip install {name}"))


def device_findings() -> Iterator[Finding]:
    """List the devices that work can run on."""
    import torch

    yield Finding("device cpu", f"{torch.get_num_threads()} threads of {os.cpu_count()} cores")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        yield Finding(f"device cuda:{index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    if not torch.cuda.device_count():
        yield Finding("GPU", "none that this torch can use; everything runs on the CPU")


def engine_finding() -> Finding:
    """Say whether auto_LiRPA, the second bound engine, can be imported."""
    from usncli.bounding.lirpa.patching import import_auto_lirpa

    try:
        import_auto_lirpa()
    except UsnError as error:
        return Finding("bound engine lirpa", "", str(error).rpartition("run: ")[2])
    except ImportError as error:
        return Finding("bound engine lirpa", "", f"auto_LiRPA does not import: {error}")
    return Finding("bound engine lirpa", "works")


def provider_finding() -> Finding:
    """List what onnxruntime can compute on here."""
    from usncli.exporting.runtime import usable_providers

    return Finding("ONNX providers", ", ".join(usable_providers()))


def run(invocation: Invocation[DoctorSettings]) -> ExitCode:
    """Print what was found; what is missing, or keeps the checkpoint from being certified, makes exit code 2."""
    consoles = invocation.consoles
    lacking = show_machine(consoles)
    if lacking:
        consoles.error(f"missing: {', '.join(lacking)}; the table says what to type")
    code = ExitCode.USAGE if lacking else ExitCode.DONE
    if invocation.settings.checkpoint is None:
        return code
    if not OPTIONAL.issuperset(lacking):
        consoles.say(f"{invocation.settings.checkpoint}: is looked at once nothing is missing")
        return code
    return max(code, look_at_checkpoint(invocation))


def show_machine(consoles: Consoles) -> list[str]:
    """Print what this machine has; return what is missing."""
    table = Table("what", "found", "what to type", title="usn doctor", title_justify="left")
    found = list(findings())
    for finding in found:
        table.add_row(finding.what, finding.found or "missing", finding.remedy)
    consoles.show(table)
    return [finding.what for finding in found if not finding.found]


COMMAND = Command(DoctorSettings, run, needs_inputs=False)
