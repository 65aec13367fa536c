import pytest
import torch

from usncli.errors import ConfigurationError, InputError, UsnError
from usncli.loading.metrics import error_on_data
from usncli.pruning.fitting import batch_figures, fit, make_batches, task_step_loss
from usncli.pruning.options import CheckpointOptions, Optimiser, OptimiserOptions
from usncli.pruning.training import ProgressFile, TrainingPlan, learning_rate, train
from usncli.pruning.training_images import read_training_images

OPTIONS = OptimiserOptions(steps=12, batch_size=16, learning_rate=3e-3)


def make_plan(pipeline, data, **changes):
    images = read_training_images(data, torch.device("cpu"))
    return TrainingPlan(
        steps=12,
        batch=make_batches(images, 16, 0),
        loss=lambda batch, step: task_step_loss(pipeline, batch),
        figures=lambda batch, loss, step: batch_figures(pipeline, batch, loss),
        **changes,
    )


def same_weights(first, second):
    ours, theirs = first.network.state_dict(), second.network.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_fit_learns_to_find_the_dot(make_pipeline, dots):
    pipeline = make_pipeline()
    before = error_on_data(pipeline, dots)
    state = fit(pipeline, dots, OptimiserOptions(epochs=40, batch_size=16, learning_rate=1e-2))
    assert state.step == 120
    assert error_on_data(pipeline, dots) < 0.5 * before
    assert state.history[-1]["step"] == 120
    assert state.history[-1]["error"] < state.history[0]["error"]
    assert not pipeline.network.training


@pytest.mark.parametrize("optimiser", list(Optimiser))
def test_an_interrupted_run_resumes_to_the_same_bits(make_pipeline, dots, tmp_path, optimiser):
    options = OptimiserOptions(steps=12, batch_size=16, learning_rate=3e-3, optimiser=optimiser)
    whole = make_pipeline()
    expected = train(whole.network, make_plan(whole, dots), options)

    file = ProgressFile(tmp_path / "training.pt", "run", CheckpointOptions())
    interrupted = make_pipeline()

    def stop(update):
        if update.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(interrupted.network, make_plan(interrupted, dots), options, file, stop)
    assert torch.load(file.path, weights_only=True)["step"] == 5

    resumed = make_pipeline()
    steps = []
    state = train(resumed.network, make_plan(resumed, dots), options, file, lambda update: steps.append(update.done))
    assert steps == list(range(6, 13))
    assert same_weights(whole, resumed)
    assert state.history == expected.history


def test_progress_is_written_every_so_many_steps(make_pipeline, dots, tmp_path):
    pipeline = make_pipeline()
    file = ProgressFile(tmp_path / "training.pt", "run", CheckpointOptions(steps=4))
    seen = []

    def look(update):
        seen.append(torch.load(file.path, weights_only=True)["step"] if file.path.exists() else 0)

    train(pipeline.network, make_plan(pipeline, dots), OPTIONS, file, look)
    assert seen == [0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12]


def test_progress_of_another_run_is_refused(make_pipeline, dots, tmp_path):
    pipeline = make_pipeline()
    path = tmp_path / "training.pt"
    train(pipeline.network, make_plan(pipeline, dots), OPTIONS, ProgressFile(path, "run", CheckpointOptions()))
    with pytest.raises(ConfigurationError, match="choose another folder"):
        train(pipeline.network, make_plan(pipeline, dots), OPTIONS, ProgressFile(path, "other", CheckpointOptions()))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged"):
        train(pipeline.network, make_plan(pipeline, dots), OPTIONS, ProgressFile(path, "run", CheckpointOptions()))


def test_a_loss_that_is_not_a_number_says_what_to_lower(make_pipeline, dots):
    pipeline = make_pipeline()
    with torch.no_grad():
        pipeline.network.last.bias.fill_(float("nan"))
    with pytest.raises(UsnError, match=r"step 1.*lower --learning-rate"):
        train(pipeline.network, make_plan(pipeline, dots), OPTIONS)


def test_training_leaves_the_global_generator_alone(make_pipeline, dots):
    pipeline = make_pipeline()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(pipeline.network, make_plan(pipeline, dots), OPTIONS)
    assert torch.equal(torch.rand(3), expected)


def test_learning_rate_warms_up_and_ends_near_zero():
    rates = [learning_rate(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.02)
    assert max(rates) == pytest.approx(0.1, rel=0.02)
    assert rates[-1] < 1e-4


def test_data_without_labels_are_refused(make_pipeline, dots):
    dots.labelled = False
    with pytest.raises(InputError, match="labels"):
        fit(make_pipeline(), dots, OPTIONS)


def test_images_beyond_the_limit_are_read_batch_by_batch(dots):
    held = read_training_images(dots, torch.device("cpu"))
    streamed = read_training_images(dots, torch.device("cpu"), limit=100)
    assert held.held is not None
    assert streamed.held is None
    rows = torch.tensor([3, 1])
    assert torch.equal(held.take(rows).images, streamed.take(rows).images)
    assert held.take(rows).names == streamed.take(rows).names == ("dot-3", "dot-1")
