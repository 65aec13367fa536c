import json

import pytest

from usncli.errors import ConfigurationError
from usncli.pruning.options import (
    Best,
    BestOptions,
    CheckpointOptions,
    FinetuneOptions,
    LossOptions,
    MaskOptions,
    OptimiserOptions,
    Target,
)

WRONG = {
    "ratio": lambda: FinetuneOptions(ratio=1.0),
    "ratio below": lambda: FinetuneOptions(ratio=-0.1),
    "ratio nan": lambda: FinetuneOptions(ratio=float("nan")),
    "seed": lambda: FinetuneOptions(seed=-1),
    "epochs": lambda: OptimiserOptions(epochs=0),
    "steps": lambda: OptimiserOptions(steps=0),
    "batch_size": lambda: OptimiserOptions(batch_size=1),
    "learning_rate": lambda: OptimiserOptions(learning_rate=float("inf")),
    "weight_decay": lambda: OptimiserOptions(weight_decay=-1e-3),
    "unbiased_weight": lambda: LossOptions(unbiased_weight=-1.0),
    "wasserstein_limit": lambda: LossOptions(wasserstein_limit=-0.1),
    "consistency_weight": lambda: LossOptions(consistency_weight=float("nan")),
    "samples": lambda: LossOptions(samples=1),
    "ramp": lambda: MaskOptions(ramp=(0.5, 0.5)),
    "loss_ramp": lambda: LossOptions(ramps={"smooth": (0.5, 0.4)}),
    "loss_ramp beyond": lambda: LossOptions(ramps={"smooth": (0.5, 1.1)}),
    "loss_ramp nan": lambda: LossOptions(ramps={"smooth": (0.0, float("nan"))}),
    "loss_ramp name": lambda: LossOptions(ramps={"smoth": (0.0, 0.5)}),
    "score_momentum": lambda: MaskOptions(score_momentum=1.0),
    "evaluate_every": lambda: BestOptions(every=0.0),
    "evaluate_images": lambda: BestOptions(images=0),
    "evaluate_seconds": lambda: BestOptions(seconds=0.0),
    "evaluate_tau": lambda: BestOptions(tau=float("inf")),
    "patience": lambda: BestOptions(Best.ERROR, patience=-1),
    "patience last": lambda: BestOptions(patience=3),
    "floor": lambda: MaskOptions(floor=0.0),
    "rescore": lambda: MaskOptions(rescore=0),
    "scoring_images": lambda: MaskOptions(scoring_images=1),
    "checkpoint_seconds": lambda: CheckpointOptions(seconds=0),
    "checkpoint_steps": lambda: CheckpointOptions(steps=0),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_options_say_what_was_expected(name):
    with pytest.raises(ConfigurationError, match=rf"^{name.split()[0]}: expected .*, got "):
        WRONG[name]()


def test_a_ratio_beyond_the_floor_is_refused():
    with pytest.raises(ConfigurationError, match=r"ratio: expected at most 0\.5, .* lower the ratio or the floor"):
        FinetuneOptions(ratio=0.6, target=Target.CHANNELS)
    assert FinetuneOptions(ratio=0.6, target=Target.CHANNELS, masks=MaskOptions(floor=0.4)).ratio == 0.6
    assert FinetuneOptions(ratio=0.5, target=Target.CHANNELS).ratio == 0.5
    assert FinetuneOptions(ratio=0.6, target=Target.PARAMETERS).ratio == 0.6  # half of the channels may take more


def test_options_are_plain_values_as_a_record():
    record = FinetuneOptions(ratio=0.3).to_record()
    assert json.loads(json.dumps(record))["criterion"] == "taylor"
    assert record["masks"]["ramp"] == (0.05, 0.5)


def test_epochs_become_steps():
    assert OptimiserOptions(epochs=2.5, batch_size=10).total_steps(104) == 25
    assert OptimiserOptions(steps=7).total_steps(104) == 7
    assert OptimiserOptions(epochs=3, batch_size=10).total_steps(4) == 3
