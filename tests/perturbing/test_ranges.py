"""What a user writes after ``--perturb``."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from usncli.errors import ConfigurationError
from usncli.perturbing import Brightness, BrightnessContrast, Contrast, Gamma, PerturbationRange, Pivot, parse_range


@pytest.mark.parametrize(
    ("text", "perturbation", "lower", "upper", "label"),
    [
        ("brightness=0.1", Brightness(), (-0.1,), (0.1,), "brightness=0.1"),
        ("contrast=0.2", Contrast(), (0.8,), (1.2,), "contrast=0.2"),
        ("brightness=-0.05:0.2", Brightness(), (-0.05,), (0.2,), "brightness=-0.05:0.2"),
        (" contrast = 0.8 : 1.3 ", Contrast(), (0.8,), (1.3,), "contrast=0.8:1.3"),
        ("brightness=0:0.2", Brightness(), (0.0,), (0.2,), "brightness=0:0.2"),
        ("brightness=-0.1:0.1", Brightness(), (-0.1,), (0.1,), "brightness=0.1"),
        ("gamma=0.2", Gamma(), (0.8,), (1.2,), "gamma=0.2"),
        ("gamma=0.5:2", Gamma(), (0.5,), (2.0,), "gamma=0.5:2"),
        (
            "contrast=0.2,brightness=0.1",
            BrightnessContrast(),
            (-0.1, 0.8),
            (0.1, 1.2),
            "brightness=0.1,contrast=0.2",
        ),
    ],
)
def test_readings(
    text: str, perturbation: object, lower: tuple[float, ...], upper: tuple[float, ...], label: str
) -> None:
    read = parse_range(text)
    assert (read.perturbation, read.lower, read.upper, read.label) == (perturbation, lower, upper, label)
    assert read.dimension == len(lower)


def test_pivot_and_clipping_reach_the_perturbation() -> None:
    read = parse_range("contrast=0.2,brightness=0.1", pivot=Pivot.MEAN, clip=False)
    assert read.perturbation == BrightnessContrast(clip=False, pivot=Pivot.MEAN)
    assert parse_range("contrast=0.2", pivot=Pivot.MEAN, clip=False).perturbation == Contrast(False, Pivot.MEAN)
    assert parse_range("brightness=0.2", clip=False).perturbation == Brightness(clip=False)


def test_corners_are_float64_and_in_the_order_of_the_parameters() -> None:
    lower, upper = parse_range("contrast=0.2,brightness=0.1").corners()
    assert lower.dtype == upper.dtype == torch.float64
    assert (lower.tolist(), upper.tolist()) == ([-0.1, 0.8], [0.1, 1.2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("brightnes=0.1", "unknown perturbation 'brightnes'; did you mean 'brightness'"),
        ("rotation=5", "unknown perturbation 'rotation'; expected one of brightness, contrast, gamma"),
        ("", "unknown perturbation ''"),
        ("brightness=0.1,", "unknown perturbation ''"),
        ("brightness", "expected brightness=EPS or brightness=LOWER:UPPER"),
        ("brightness=", "expected brightness=EPS or brightness=LOWER:UPPER"),
        ("brightness=abc", "got 'abc'"),
        ("brightness=:0.1", "got ':0.1'"),
        ("brightness=-0.1:0:0.1", "got '-0.1:0:0.1'"),
        ("brightness=nan", "got 'nan'"),
        ("brightness=-0.1:inf", "got '-0.1:inf'"),
        ("brightness=0.1,brightness=0.2", "brightness is given twice"),
        ("brightness=0", "the range is empty"),
        ("brightness=-0.1", "the range is empty: expected brightness above 0"),
        ("brightness=0.2:-0.2", "the range is empty: expected LOWER < UPPER"),
        ("contrast=1:1", "the range is empty"),
        ("contrast=1e-17", "the range is empty"),
        ("brightness=0.1:0.2", r"holds 0 \(no change\), got 0.1:0.2"),
        ("contrast=0.2:0.8", r"holds 1 \(no change\), got 0.2:0.8"),
        ("brightness=1.5", "expected brightness within -1:1"),
        ("contrast=1.5", "expected contrast within 0:10, got -0.5:2.5"),
        ("contrast=1:11", "expected contrast within 0:10"),
        ("gamma=1", "expected gamma within 0.1:10, got 0:2"),
        ("gamma=0.5:20", "expected gamma within 0.1:10"),
        ("gamma=1.5:2", r"holds 1 \(no change\), got 1.5:2"),
        ("gamma=0.2,brightness=0.1", "only brightness and contrast share one box; give gamma a --perturb of its own"),
        ("contrast=0.2,gamma=0.2", "only brightness and contrast share one box"),
        ("brightness=0.1,contrast=0.2,gamma=0.2", "only brightness and contrast share one box"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        parse_range(text)
    assert "\n" not in str(caught.value)
    assert repr(text) in str(caught.value)


BELOW, ABOVE = st.floats(-1, 0), st.floats(0, 1)


@settings(deadline=None, derandomize=True, database=None, max_examples=50)
@given(BELOW, ABOVE, st.floats(0, 1), st.floats(1, 10))
def test_label_reads_back_as_the_same_box(dark: float, bright: float, flat: float, harsh: float) -> None:
    if dark == bright or flat == harsh:
        return
    read = parse_range(f"brightness={dark!r}:{bright!r},contrast={flat!r}:{harsh!r}")
    assert (read.lower, read.upper) == ((dark, flat), (bright, harsh))
    assert parse_range(read.label) == read


@settings(deadline=None, derandomize=True, database=None, max_examples=50)
@given(st.floats(1e-9, 0.9))
def test_symmetric_label_reads_back_as_the_same_box(epsilon: float) -> None:
    for name in ("brightness", "contrast", "gamma"):
        read = parse_range(f"{name}={epsilon!r}")
        assert parse_range(read.label) == read


@pytest.mark.parametrize("epsilon", ["0.1", "0.05", "0.3", "0.7", "0.123"])
@pytest.mark.parametrize("name", ["brightness", "contrast", "gamma"])
def test_label_of_a_short_number_is_that_number(name: str, epsilon: str) -> None:
    assert parse_range(f"{name}={epsilon}").label == f"{name}={epsilon}"


def test_a_box_without_width_may_be_built_by_hand() -> None:
    assert PerturbationRange(Contrast(), (1.0,), (1.0,), "none").corners()[0].item() == 1.0


@pytest.mark.parametrize(
    ("lower", "upper"),
    [
        ((0.0,), ()),
        ((0.1,), (0.2,)),
        ((0.1,), (-0.1,)),
        ((float("nan"),), (0.1,)),
        ((0.0, 0.0),) * 2,
        ((-2.0,), (0.0,)),
        ((0.0,), (float("inf"),)),
    ],
)
def test_a_box_by_hand_holds_the_identity_within_the_limits(lower: tuple[float, ...], upper: tuple[float, ...]) -> None:
    with pytest.raises(ConfigurationError, match="range 'mine': expected"):
        PerturbationRange(Brightness(), lower, upper, "mine")
