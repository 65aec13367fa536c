"""Pictures: what the network sees in the clean image and at the worst theta, kept in the run folder."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from report_samples import HOSTILE, picture
from torch import Tensor, nn

from usncli.certifying.options import CertifyOptions, Reference
from usncli.certifying.records import CertificationRecord
from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Colour, KeypointUnits, Preprocessing
from usncli.perturbing import parse_range
from usncli.reporting.counterexamples import choose, keep_pictures, take_pictures
from usncli.reporting.pictures import Picture, encode, picture_figure, read_pictures, save_pictures
from usncli.types import Sample, Task

BRIGHT = parse_range("brightness=-0.25:0.125", clip=False)


class MeanTwice(nn.Module):
    """Predicts four numbers: the mean grey value once as it is and three times tenfold."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean(dim=(1, 2, 3)).unsqueeze(1)
        return torch.cat([mean, 10 * mean, 10 * mean, 10 * mean], dim=1)


class Data:
    label_names = ("dark", "bright", "x", "y")

    def __init__(self, task: Task, labelled: bool = True) -> None:
        self.task, self.labelled = task, labelled

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        image = torch.full((1, 4, 6), 0.5)
        keypoints = torch.tensor([[0.25, 5.0, 2.0], [3.0, 3.0, 0.0]])
        target = torch.tensor(1) if self.task == Task.CLASSIFICATION else keypoints
        return Sample(image, target, f"{index}.png")


def pipeline_of(task: Task) -> Pipeline:
    preprocessing = Preprocessing(4, 6, colour=Colour.GREY, keypoint_units=KeypointUnits.PIXEL)
    return Pipeline(MeanTwice(), preprocessing, task).eval()


def taken(task: Task, query: QueryRecord, options: CertifyOptions, labelled: bool = True) -> Picture:
    record = CertificationRecord((query,), {}, "", "", {}, 0)
    return take_pictures(pipeline_of(task), Data(task, labelled), [BRIGHT], record, options)[0]


def pixels(png: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(png)))


def test_falsified_query_is_shown_at_its_witness() -> None:
    query = QueryRecord("0.png", 0, BRIGHT.label, Verdict.FALSIFIED, -1.0, witness=(0.1,))
    shown = taken(Task.KEYPOINTS, query, CertifyOptions(tau=1.0))
    assert shown.theta == "brightness 0.1"
    assert shown.reference == ((0.5, 5.0),), "the keypoint that is not visible is left out"
    assert shown.moved == ((0.6, 6.0),)
    assert shown.largest_move == pytest.approx(1.0)
    assert pixels(shown.clean).size == (6, 4)
    assert pixels(shown.clean).getpixel((0, 0)) == 128
    assert pixels(shown.perturbed).getpixel((0, 0)) == 153


def test_other_queries_are_shown_at_their_least_margin() -> None:
    query = QueryRecord("0.png", 0, BRIGHT.label, Verdict.CERTIFIED, 1.0)
    shown = taken(Task.KEYPOINTS, query, CertifyOptions(tau=9.0), labelled=False)
    assert shown.theta == "brightness -0.25"
    assert len(shown.reference) == 2
    assert shown.largest_move == pytest.approx(2.5)


def test_label_as_reference_is_drawn_as_such() -> None:
    query = QueryRecord("0.png", 0, BRIGHT.label, Verdict.FALSIFIED, -1.0, witness=(0.1,))
    shown = taken(Task.KEYPOINTS, query, CertifyOptions(tau=0.5, reference=Reference.LABEL))
    assert shown.reference == ((0.25, 5.0),)
    assert shown.reference_name == "labelled"


def test_classes_are_named() -> None:
    query = QueryRecord("0.png", 0, BRIGHT.label, Verdict.FALSIFIED, -1.0, witness=(0.1,))
    shown = taken(Task.CLASSIFICATION, query, CertifyOptions())
    assert shown.answers == ("bright", "bright")
    assert shown.reference == ()
    assert "bright when clean" in picture_figure(shown).note


def test_counterexamples_come_first_and_images_differ() -> None:
    verdicts = [Verdict.CERTIFIED, Verdict.FALSIFIED, Verdict.FALSIFIED, Verdict.ERROR, Verdict.UNKNOWN]
    margins = [0.5, -0.1, -0.9, None, 0.1]
    found = [
        QueryRecord(str(index), index // 2, str(index), verdict, margin)
        for index, (verdict, margin) in enumerate(zip(verdicts, margins, strict=True))
    ]
    assert [query.image for query in choose(found, 4)] == ["2", "1", "4", "0"]
    assert [query.image for query in choose(found, 1)] == ["2"]


def test_a_run_keeps_its_pictures(tmp_path: Path) -> None:
    queries = tuple(QueryRecord(f"{index}.png", index, BRIGHT.label, Verdict.CERTIFIED, 1.0) for index in range(2))
    record, options = CertificationRecord(queries, {}, "", "", {}, 0), CertifyOptions(tau=9.0)
    path = keep_pictures(tmp_path, pipeline_of(Task.KEYPOINTS), Data(Task.KEYPOINTS), [BRIGHT], record, options)
    assert [shown.image for shown in read_pictures(path)] == ["0.png", "1.png"]


def test_pictures_read_back(tmp_path: Path) -> None:
    save_pictures(tmp_path / "pictures.json", [picture(), picture(HOSTILE)])
    assert read_pictures(tmp_path / "pictures.json") == (picture(), picture(HOSTILE))


def test_figure_draws_both_keypoint_sets() -> None:
    figure = picture_figure(picture())
    assert figure.markup.count("<circle") == 4, "two references, on both images"
    assert figure.markup.count("data:image/png;base64,") == 2
    assert figure.note == "at brightness -0.08 a keypoint is off by 3.25 px (allowed: 1 px)"


def test_grey_and_colour_encode_without_loss() -> None:
    colour = torch.arange(3 * 2 * 2).reshape(3, 2, 2) / 255
    assert pixels(encode(colour)).getpixel((1, 0)) == (1, 5, 9)
    assert pixels(encode(colour[:1])).getpixel((1, 1)) == 3
