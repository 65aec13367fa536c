import importlib.util

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.pruning.test_finetune import BRIGHTNESS, make_options
from usncli.errors import ConfigurationError
from usncli.pruning.finetune import finetune_prune
from usncli.pruning.options import CheckpointOptions
from usncli.pruning.scalars import FOLDER
from usncli.pruning.training import learning_rate


class PowerCutError(Exception):
    """Stands for what ends a process without a last checkpoint."""


def cut_power(update):
    if update.stage == "training" and update.done == 9:
        raise PowerCutError


def test_logs_hold_every_figure_of_a_resumed_run_once(make_pipeline, dots, tmp_path):
    options = make_options(checkpoint=CheckpointOptions(steps=5, tensorboard=True))
    with pytest.raises(PowerCutError):
        finetune_prune(make_pipeline(), dots, BRIGHTNESS, options, tmp_path, progress=cut_power)
    record = finetune_prune(make_pipeline(), dots, BRIGHTNESS, options, tmp_path)  # goes on after step 5

    events = EventAccumulator(str(tmp_path / FOLDER)).Reload()
    assert sorted(events.Tags()["scalars"]) == sorted(
        f"training/{name}" for name in {*record.history[-1], "learning-rate"} - {"step"}
    )
    for name in ("loss", "error", "rho", "task", "unbiased", "smooth", "wasserstein"):
        logged = events.Scalars(f"training/{name}")
        assert [event.step for event in logged] == list(range(1, 21))
        assert [event.value for event in logged] == pytest.approx([point[name] for point in record.history])
    rates = [event.value for event in events.Scalars("training/learning-rate")]
    assert rates == pytest.approx([learning_rate(step, 20, 1e-2) for step in range(20)])


def test_without_the_option_nothing_is_logged_and_the_run_is_the_same(make_pipeline, dots, tmp_path):
    record = finetune_prune(make_pipeline(), dots, BRIGHTNESS, make_options(), tmp_path)
    assert not (tmp_path / FOLDER).exists()
    logging = make_options(checkpoint=CheckpointOptions(tensorboard=True))
    assert finetune_prune(make_pipeline(), dots, BRIGHTNESS, logging, tmp_path).fingerprint == record.fingerprint


def test_a_missing_tensorboard_is_said_before_training(make_pipeline, dots, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    options = make_options(checkpoint=CheckpointOptions(tensorboard=True))
    with pytest.raises(ConfigurationError, match=r"found none; run: pip install 'usncli\[tensorboard\]'"):
        finetune_prune(make_pipeline(), dots, BRIGHTNESS, options, tmp_path)
    assert list(tmp_path.iterdir()) == []
