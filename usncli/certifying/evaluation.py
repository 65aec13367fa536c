"""How good a network in training is: what decides which network of a run is kept."""

from __future__ import annotations

from collections.abc import Sequence

from usncli.certifying.certify import certify
from usncli.certifying.options import CertifyOptions
from usncli.certifying.problem import make_problem
from usncli.errors import ConfigurationError
from usncli.loading.batching import evenly_spaced, subset
from usncli.loading.metrics import error_on_data
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import PerturbationRange
from usncli.pruning.best_network import Evaluate, Evaluation
from usncli.pruning.options import Best, BestOptions
from usncli.types import ImageData


def make_evaluate(
    pipeline: Pipeline,
    validation: ImageData | None,
    ranges: Sequence[PerturbationRange],
    options: BestOptions,
) -> Evaluate | None:
    """Return what judges the networks of a run by its options; none where the last one is kept.

    Errors are of all validation images. The certified rate is that of some of them, evenly spread, at the run's ranges
    and against the clean prediction, as `certify` has it by default.

    Args:
        pipeline: the network before training, with a captured network.
        validation: labelled images.
        ranges: of the run.
        options: how networks are judged.

    Raises:
        ConfigurationError: there are no validation images.
        UnsupportedOperationError: the certified rate is asked for and the network holds operations that cannot be
            bounded.
    """
    if options.choice == Best.LAST:
        return None
    if validation is None:
        raise ConfigurationError(
            f"best {options.choice}: expected validation images to judge networks by, got none; give --validation"
        )
    if options.choice == Best.ERROR:
        return lambda network: _by_error(network, validation)
    certifying = CertifyOptions(tau=options.tau, seconds=options.seconds)
    make_problem(pipeline, certifying)  # refuses what cannot be bounded before any training
    images = subset(validation, evenly_spaced(len(validation), min(options.images, len(validation))))

    def by_certified_rate(network: Pipeline) -> Evaluation:
        rate, error = certify(network, images, ranges, certifying).certified_rate, error_on_data(network, validation)
        return Evaluation((rate, -error), {"certified_rate": rate, "error": error})

    return by_certified_rate


def _by_error(network: Pipeline, validation: ImageData) -> Evaluation:
    error = error_on_data(network, validation)
    return Evaluation((-error,), {"error": error})
