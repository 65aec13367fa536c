"""Pictures: what the network sees in the clean image and at the worst theta, kept in the run folder."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
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
from usncli.reporting.counterexamples import LEAST, choose, keep_pictures, take_pictures, take_thumbnails
from usncli.reporting.image_data import data_address, encode, encode_within
from usncli.reporting.picture_pair import pair_markup, pair_words
from usncli.reporting.pictures import KeptPictures, Picture, read_pictures, save_pictures
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
    assert pair_words(shown) == "bright when clean, bright at brightness 0.1"


def test_counterexamples_come_first_and_images_differ() -> None:
    verdicts = [Verdict.CERTIFIED, Verdict.FALSIFIED, Verdict.FALSIFIED, Verdict.ERROR, Verdict.UNKNOWN]
    margins = [0.5, -0.1, -0.9, None, 0.1]
    found = [
        QueryRecord(str(index), index // 2, str(index), verdict, margin)
        for index, (verdict, margin) in enumerate(zip(verdicts, margins, strict=True))
    ]
    assert [query.image for query in choose(found, 4)] == ["2", "1", "4", "0"]
    assert [query.image for query in choose(found, 1)] == ["2"]


def test_what_held_only_makes_up_for_missing_counterexamples() -> None:
    def named(verdict: Verdict, count: int) -> list[QueryRecord]:
        return [QueryRecord(verdict, index, "a", verdict, 0.5) for index in range(count)]

    shared = [
        QueryRecord("0", 0, label, Verdict.FALSIFIED, -0.5, witness=witness)
        for label, witness in [("brightness=0.1", (0.05,)), ("brightness=0.05", (0.05,)), ("contrast=0.1", (1.1,))]
    ]
    assert [query.perturbation for query in choose(shared, 60)] == ["brightness=0.1", "contrast=0.1"]
    many, few = named(Verdict.FALSIFIED, LEAST + 3), named(Verdict.FALSIFIED, 2)
    assert {query.verdict for query in choose([*many, *named(Verdict.CERTIFIED, 9)], 60)} == {Verdict.FALSIFIED}
    assert len(choose(many, 60)) == LEAST + 3
    shown = choose([*few, *named(Verdict.CERTIFIED, 30)], 60)
    assert [query.verdict for query in shown] == [Verdict.FALSIFIED] * 2 + [Verdict.CERTIFIED] * (LEAST - 2)


def test_a_run_keeps_its_pictures(tmp_path: Path) -> None:
    queries = tuple(QueryRecord(f"{index}.png", index, BRIGHT.label, Verdict.CERTIFIED, 1.0) for index in range(2))
    record, options = CertificationRecord(queries, {}, "", "", {}, 0), CertifyOptions(tau=9.0)
    path = keep_pictures(tmp_path, pipeline_of(Task.KEYPOINTS), Data(Task.KEYPOINTS), [BRIGHT], record, options)
    kept = read_pictures(path)
    assert [shown.image for shown in kept.pictures] == ["0.png", "1.png"]
    assert {index: pixels(encoded).size for index, encoded in kept.thumbnails.items()} == {0: (6, 4), 1: (6, 4)}


def test_thumbnails_are_of_the_worst_images_where_there_is_no_room_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    verdicts = [Verdict.CERTIFIED, Verdict.FALSIFIED, Verdict.ERROR, Verdict.UNKNOWN]
    queries = [QueryRecord(f"{index}.png", index, BRIGHT.label, verdict) for index, verdict in enumerate(verdicts)]
    record = CertificationRecord((*queries, replace(queries[0], verdict=Verdict.MISCLASSIFIED)), {}, "", "", {}, 0)
    data = Data(Task.KEYPOINTS)
    every = take_thumbnails(data, record)
    assert list(every) == [0, 1, 3], "misclassified, falsified, unknown; what crashed may not be readable"
    monkeypatch.setattr("usncli.reporting.counterexamples.ALL_THUMBNAILS", 2 * len(every[0]))
    assert list(take_thumbnails(data, record)) == [0, 1]


def test_pictures_read_back(tmp_path: Path) -> None:
    path, small = tmp_path / "pictures.json", encode(torch.rand(3, 2, 2))
    save_pictures(path, [picture(), picture(HOSTILE)], {3: small})
    assert read_pictures(path) == KeptPictures((picture(), picture(HOSTILE)), {3: small})
    content = json.loads(path.read_text())
    del content["thumbnails"]
    path.write_text(json.dumps(content))
    assert read_pictures(path) == KeptPictures((picture(), picture(HOSTILE)), {}), "as runs kept them before"


def test_both_keypoint_sets_are_drawn() -> None:
    markup = pair_markup(picture())
    clean, perturbed = markup.split("</svg>")[:2]
    rings = re.findall(r'class="reference" [^>]*d="([^"]*)"', markup)
    assert [ring.count("M") for ring in rings] == [2, 2], "two references, on both images"
    assert 'class="moved"' not in clean
    (crosses,) = re.findall(r'class="moved" [^>]*d="([^"]*)"', perturbed)
    assert crosses.startswith("M1 2L1.5 2m"), "a line from where the keypoint should be, then a cross"
    assert markup.count("data:image/png;base64,") == 2
    assert pair_words(picture()) == "at brightness -0.08 a keypoint is off by 3.25 px (allowed: 1 px)"


def test_grey_and_colour_encode_without_loss() -> None:
    colour = torch.arange(3 * 2 * 2).reshape(3, 2, 2) / 255
    assert pixels(encode(colour)).getpixel((1, 0)) == (1, 5, 9)
    assert pixels(encode(colour[:1])).getpixel((1, 1)) == 3


def test_small_images_stay_exact_and_large_ones_fit() -> None:
    generator = torch.Generator().manual_seed(0)
    small, noise = torch.rand(1, 16, 24, generator=generator), torch.rand(3, 300, 200, generator=generator)
    assert encode_within(small, 96, 3000) == encode(small)
    for side, most in ((96, 3000), (320, 24_000), (96, 2000)):
        encoded = encode_within(noise, side, most)
        assert len(base64.b64decode(encoded)) <= most
        width, height = pixels(encoded).size
        assert max(width, height) <= side
        assert width / height == pytest.approx(2 / 3, rel=0.1)
        assert data_address(encoded).startswith("data:image/jpeg;base64,")
    smooth = torch.linspace(0, 1, 3 * 300 * 200).reshape(3, 300, 200)
    assert pixels(encode_within(smooth, 96, 3000)).size == (64, 96)


def test_other_files_are_no_images() -> None:
    with pytest.raises(ValueError, match="PNG or JPEG"):
        data_address(base64.b64encode(b"<svg onload=alert(1)>").decode())
    with pytest.raises(ValueError, match="base64"):
        data_address('iVBORw0KGgo"onerror=')
