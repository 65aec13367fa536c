"""The part of ``usn doctor`` that looks at a checkpoint: what stands in the way, and what certifying it will take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from usncli.cli.certify import options_of, refuse_empty_folder
from usncli.cli.exit_codes import ExitCode
from usncli.cli.inputs import open_images, open_network, ranges_of
from usncli.cli.invocation import Invocation
from usncli.cli.progress_bars import duration_text, progress_bars
from usncli.errors import UnsupportedOperationError
from usncli.settings import DoctorSettings

if TYPE_CHECKING:
    from usncli.certifying.options import CertifyOptions
    from usncli.loading.checkpoint import LoadedCheckpoint
    from usncli.preflight.operations import Examination
    from usncli.preflight.pilot import Pilot
    from usncli.preflight.prediction import Prediction, Span


def look_at_checkpoint(invocation: Invocation[DoctorSettings]) -> ExitCode:
    """Print what cannot be done with a network, and what certifying it will take.

    Raises:
        UsnError: the checkpoint cannot be loaded, or the data not read.
    """
    from usncli.devices import choose_device
    from usncli.preflight.operations import certification_obstacles, examine

    settings = invocation.settings
    options, device = options_of(settings), choose_device(settings.device)
    try:
        loaded = open_network(invocation, str(device))
    except UnsupportedOperationError as error:
        if error.layers:
            show_uncaptured(invocation, error.layers)
        raise
    blocked = any(obstacle.blocking for obstacle in certification_obstacles(loaded.pipeline, options))
    # Before anything else that takes memory, so that the peak of the process is that of a certification.
    piloted = None if blocked else predicted(invocation, loaded, options)
    show_operations(invocation, examine(loaded.pipeline, options))
    if piloted is not None:
        show_prediction(invocation, *piloted)
    if not blocked:
        return ExitCode.DONE
    invocation.consoles.error("the network cannot be certified as it is; the table says what to change")
    return ExitCode.USAGE


def predicted(
    invocation: Invocation[DoctorSettings], loaded: LoadedCheckpoint, options: CertifyOptions
) -> tuple[Pilot, Prediction] | None:
    """Run a pilot and extrapolate it; where the settings name no images or ranges, say which would be needed."""
    from usncli.preflight.pilot import run_pilot
    from usncli.preflight.prediction import predict

    settings = invocation.settings
    lacking = [key for key, value in (("data", settings.data), ("perturb", settings.perturb)) if not value]
    if lacking or settings.data is None:
        flags = " and ".join(f"--{key}" for key in lacking)
        keys = " and ".join(f"'{key}:'" for key in lacking)
        invocation.consoles.say(f"to have time and memory predicted, give {flags}, or write {keys} in usn.yaml")
        return None
    ranges = ranges_of(settings)
    refuse_empty_folder(settings.data)
    data = open_images(settings.data, invocation, loaded)
    with progress_bars(invocation.consoles) as progress:
        pilot = run_pilot(loaded.pipeline, data, ranges, options, progress=progress)
    return pilot, predict(pilot, [region.label for region in ranges], len(data), options)


def show_uncaptured(invocation: Invocation[DoctorSettings], layers: Sequence[str]) -> None:
    """Print every layer that keeps the network from being captured."""
    from usncli.reporting.table import table

    rows = [(layer, "captured") for layer in layers]
    invocation.consoles.show(table(_title(invocation, "operations"), ("layer", "cannot be"), rows))


def show_operations(invocation: Invocation[DoctorSettings], found: Examination) -> None:
    """Print what cannot be done with which layer."""
    from usncli.reporting.table import table

    cut = f"{found.channels} channels in {found.groups} groups can be cut"
    if not found.obstacles:
        invocation.consoles.line(f"operations: each can be scored, cut, certified and exported\n{cut}\n")
        return
    rows = [(item.layer, item.cannot, "; ".join(filter(None, (item.reason, item.remedy)))) for item in found.obstacles]
    columns = ("layer", "cannot be", "why, and what to do")
    invocation.consoles.show(table(_title(invocation, "operations"), columns, rows, f"{cut}."))


def show_prediction(invocation: Invocation[DoctorSettings], pilot: Pilot, prediction: Prediction) -> None:
    """Print how long certifying will take and what memory."""
    from usncli.reporting.table import Cell, Column, table

    errors = [query for query in pilot.queries if query.message and query.verdict == "error"]
    for query in errors:
        invocation.consoles.say(f"warning: {query.image}, {query.perturbation}: {query.message}")
    columns = ("range", Column("pilot images", ","), Column("open", ","), "an image", "all of them", "between")
    rows: list[tuple[Cell, ...]] = [
        (item.perturbation, item.images, item.open, *_texts(item.seconds)[:1], *_texts(item.total))
        for item in prediction.ranges
    ]
    rest = "set-up, ReLU counts" if invocation.settings.unstable_images else "set-up"
    rows += [
        (what, None, None, None, *_texts(span))
        for what, span in ((rest, prediction.rest), ("in all", prediction.seconds))
    ]
    note = (
        f"From {pilot.images} of {prediction.images} images, with up to {duration_text(pilot.cap)} a query, on this "
        "machine as busy as it is now. What the pilot left open is counted by the share of its range that was proved, "
        f"or with all of --seconds {invocation.settings.seconds:g}."
    )
    invocation.consoles.show(table(_title(invocation, "time"), columns, rows, note))
    for what, memory in (("memory", prediction.memory), ("GPU memory", prediction.device_memory)):
        if memory is not None:
            low, middle, high = (f"{value / 1e9:.1f}" for value in memory)
            invocation.consoles.line(f"{what}: about {middle} GB, between {low} and {high} GB")


def _texts(seconds: Span) -> tuple[str, str]:
    low, middle, high = (f"{value:.2f} s" if value < 1 else duration_text(value) for value in seconds)
    return middle, f"{low} to {high}"


def _title(invocation: Invocation[DoctorSettings], what: str) -> str:
    return f"usn doctor {invocation.settings.checkpoint}: {what}"
