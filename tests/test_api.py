"""The functions on plain torch objects: a module, a tensor of images, a torch data set."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

import usncli
from usncli.adapting import as_data, as_pipeline, as_ranges
from usncli.errors import InputError

sys.path.insert(0, str(Path(__file__).parent / "cli"))
from tiny_network import SIDE, seeded

RANGE = "brightness=0.01"


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def pipeline() -> usncli.Pipeline:
    preprocessing = usncli.Preprocessing(SIDE, SIDE, mean=(0.5,), std=(0.25,))
    return usncli.Pipeline(seeded(), preprocessing, usncli.Task.CLASSIFICATION)


@pytest.fixture(scope="module")
def captured(pipeline: usncli.Pipeline, images: Tensor) -> usncli.Pipeline:
    return as_pipeline(pipeline, images)


class Labelled(Dataset):
    """Four pictures of another size, labelled; it says what is predicted."""

    classes = ("dark", "light")
    task = usncli.Task.CLASSIFICATION

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index >= len(self):
            raise IndexError
        return torch.full((3, SIDE, SIDE), 0.2 + 0.6 * (index % 2)), index % 2


def test_a_captured_pipeline_is_taken_as_it_is_and_computes_the_same(
    pipeline: usncli.Pipeline, captured: usncli.Pipeline, images: Tensor
) -> None:
    assert as_pipeline(captured, images) is captured
    assert torch.allclose(captured(images), pipeline(images), atol=1e-6)


def test_a_bare_module_needs_images_that_tell_the_task(images: Tensor) -> None:
    with pytest.raises(InputError, match=r"pass usncli.Pipeline\(network"):
        as_pipeline(seeded(), images)


def test_images_of_another_size_or_range_are_refused(captured: usncli.Pipeline, images: Tensor) -> None:
    for wrong, words in ((images[:, :, :4], "expected shape"), (images * 255, "in \\[0, 1\\]"), (images[0], "shape")):
        with pytest.raises(InputError, match=words):
            as_data(wrong, captured)


def test_a_torch_data_set_keeps_its_labels(captured: usncli.Pipeline) -> None:
    data = as_data(Labelled(), captured)
    assert data.label_names == ("dark", "light")
    assert [int(data[index].target) for index in range(4)] == [0, 1, 0, 1]
    unnamed = as_data(TensorDataset(torch.rand(2, 3, SIDE, SIDE), torch.tensor([0, 1])), captured)
    assert unnamed.labelled
    assert len(unnamed) == 2


def test_perturbations_are_one_or_several() -> None:
    parsed = usncli.parse_range(RANGE)
    assert as_ranges(RANGE) == as_ranges([RANGE]) == as_ranges(parsed) == (parsed,)
    assert [item.label for item in as_ranges(["contrast=0.2", parsed])] == ["contrast=0.2", RANGE]


def test_score_on_a_tensor(captured: usncli.Pipeline, images: Tensor) -> None:
    first, second = usncli.score(captured, images, [RANGE, "contrast=0.1"], usncli.ScoreOptions(samples=3))
    assert (first.perturbation, second.perturbation) == (RANGE, "contrast=0.1")
    assert first.channels == 10
    assert first.images == 4


def test_certify_on_a_tensor_and_go_on_from_a_journal(
    captured: usncli.Pipeline, images: Tensor, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.jsonl"
    record = usncli.certify(captured, images, RANGE, journal=journal)
    assert sum(record.counts.values()) == 4
    assert record.counts["error"] == 0
    assert usncli.certify(captured, images, RANGE, journal=str(journal)).queries == record.queries


def test_export_on_a_tensor(captured: usncli.Pipeline, images: Tensor, tmp_path: Path) -> None:
    record = usncli.export(captured, tmp_path / "model.onnx", images)
    assert record.largest_difference <= 1e-4
    assert (tmp_path / "model.onnx").is_file()


def test_finetune_prune_on_a_torch_data_set(captured: usncli.Pipeline, tmp_path: Path) -> None:
    from usncli.pruning.options import OptimiserOptions, Target

    options = usncli.FinetuneOptions(
        ratio=0.3, target=Target.CHANNELS, optimiser=OptimiserOptions(steps=2, batch_size=2)
    )
    record = usncli.finetune_prune(captured, Labelled(), RANGE, tmp_path, options, validation=Labelled())
    assert record.rho == pytest.approx(0.3)
    smaller = usncli.load_network(record.path).pipeline
    assert sum(value.numel() for value in smaller.parameters()) < sum(value.numel() for value in captured.parameters())
