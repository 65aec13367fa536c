import pytest
import torch

from tests.pruning.test_finetune import BRIGHTNESS, CONTRAST, make_options, same_tensors, tensors_of
from usncli.errors import ConfigurationError
from usncli.loading.network_file import load_network
from usncli.pruning import training
from usncli.pruning.best_network import Evaluation
from usncli.pruning.finetune import finetune_prune
from usncli.pruning.fitting import fit
from usncli.pruning.options import Best, BestOptions, OptimiserOptions, Precision
from usncli.pruning.precision import gradient_scaler, mixed_precision

BFLOAT16 = OptimiserOptions(steps=20, batch_size=16, learning_rate=1e-2, precision=Precision.BFLOAT16)


def interrupt_at(stop):
    def interrupt(update):
        if update.stage == "training" and update.done == stop:
            raise KeyboardInterrupt

    return interrupt


def test_bfloat16_learns_near_float32_and_resumes_to_the_same_bits(make_pipeline, dots, tmp_path):
    def run(folder, optimiser=BFLOAT16, **others):
        options = make_options(optimiser=optimiser)
        return finetune_prune(make_pipeline(), dots, [BRIGHTNESS, CONTRAST], options, tmp_path / folder, **others)

    whole = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", progress=interrupt_at(9))
    resumed = run("cut")
    assert same_tensors(tensors_of(whole.path), tensors_of(resumed.path))
    assert resumed.history == whole.history

    exact = run("float32", make_options().optimiser)
    assert whole.history != exact.history
    for name in ("loss", "unbiased", "smooth", "wasserstein"):
        assert whole.history[0][name] == pytest.approx(exact.history[0][name], rel=0.05)
    assert {tensor.dtype for tensor in tensors_of(whole.path).values()} == {torch.float32, torch.int64}


def test_layers_run_in_bfloat16_while_training_only_and_the_output_is_float32(make_pipeline):
    network, seen = make_pipeline().network, []
    network.second.register_forward_hook(lambda layer, inputs, output: seen.append(output.dtype))
    images = torch.rand(4, 1, 8, 8)
    exact = network(images)
    with mixed_precision(network, Precision.BFLOAT16):
        assert torch.equal(network(images), exact)
        assert network.train()(images).dtype == torch.float32
    assert seen == [torch.float32, torch.float32, torch.bfloat16]
    network(images)
    assert seen[-1] == torch.float32


def test_float16_is_refused_where_there_is_no_cuda(make_pipeline, dots, tmp_path):
    options = OptimiserOptions(steps=2, batch_size=16, precision=Precision.FLOAT16)
    message = "precision: expected float32 or bfloat16 on cpu, got float16.* --device"
    with pytest.raises(ConfigurationError, match=message):
        fit(make_pipeline(), dots, options)
    with pytest.raises(ConfigurationError, match=message):
        finetune_prune(make_pipeline(), dots, BRIGHTNESS, make_options(optimiser=options), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_float16_scales_its_gradients():
    enabled = {precision: gradient_scaler(precision, torch.device("cpu")).is_enabled() for precision in Precision}
    assert enabled == {Precision.FLOAT32: False, Precision.BFLOAT16: False, Precision.FLOAT16: True}


def test_scaled_gradients_move_weights_alike_and_the_scale_is_resumed(make_pipeline, dots, tmp_path, monkeypatch):
    options = OptimiserOptions(steps=12, batch_size=16, learning_rate=3e-3)
    plain, whole, cut = make_pipeline(), make_pipeline(), make_pipeline()
    fit(plain, dots, options)
    monkeypatch.setattr(
        training, "gradient_scaler", lambda *_: torch.amp.GradScaler("cpu", init_scale=2.0**8, growth_interval=5)
    )
    expected = fit(whole, dots, options)
    assert expected.scaler["scale"] == 2.0**10
    torch.testing.assert_close(whole.network.state_dict(), plain.network.state_dict())
    with pytest.raises(KeyboardInterrupt):
        fit(cut, dots, options, folder=tmp_path, progress=interrupt_at(7))
    resumed = make_pipeline()
    assert fit(resumed, dots, options, folder=tmp_path).scaler == expected.scaler
    assert same_tensors(resumed.network.state_dict(), whole.network.state_dict())


def test_a_network_on_the_way_is_judged_as_it_would_ship(make_pipeline, dots, tmp_path):
    """What is judged after the last step is what is saved, bit by bit, though the original then trains in 16 bits."""
    judged = []

    def judge(pipeline):
        judged.append({name: tensor.clone() for name, tensor in pipeline.network.state_dict().items()})
        outputs = pipeline(torch.stack([dots[index].image for index in range(4)]))
        judged.append(outputs)
        return Evaluation((float(len(judged)),), {"judged": float(len(judged))})

    options = make_options(optimiser=BFLOAT16, best=BestOptions(Best.ERROR, every=0.5))
    record = finetune_prune(
        make_pipeline(), dots, BRIGHTNESS, options, tmp_path / "run", validation=dots, evaluate=judge
    )
    weights, outputs = judged[-2:]
    assert record.chosen_step == BFLOAT16.steps
    assert same_tensors(weights, load_network(record.path).pipeline.network.state_dict())
    images = torch.stack([dots[index].image for index in range(4)])
    assert torch.equal(load_network(record.path).pipeline(images), outputs)
