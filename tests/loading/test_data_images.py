"""Image files of many kinds become the network's input, or are refused."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from usncli.errors import InputError
from usncli.loading.datasets.images import check_image_file, read_image, to_array
from usncli.loading.preprocessing import Colour, Preprocessing

RGB = Preprocessing(6, 8)
GREY = Preprocessing(6, 8, Colour.GREY)
NOISE = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)


def save(folder: Path, name: str, image: Image.Image, **how: object) -> Path:
    image.save(folder / name, **how)
    return folder / name


def flat(mode: str, colour: object) -> Image.Image:
    return Image.new(mode, (8, 6), colour)


@pytest.mark.parametrize(
    ("name", "image", "expected"),
    [
        ("rgb.png", flat("RGB", (10, 20, 30)), (10, 20, 30)),
        ("grey.png", flat("L", 77), (77, 77, 77)),
        ("alpha.png", flat("RGBA", (10, 20, 30, 0)), (10, 20, 30)),
        ("grey_alpha.png", flat("LA", (77, 3)), (77, 77, 77)),
        ("bilevel.png", flat("1", 1), (255, 255, 255)),
        ("cmyk.tif", flat("CMYK", (0, 255, 255, 0)), (255, 0, 0)),
        ("plain.bmp", flat("RGB", (1, 2, 3)), (1, 2, 3)),
    ],
)
def test_modes_of_8_bits(tmp_path: Path, name: str, image: Image.Image, expected: tuple[int, ...]) -> None:
    path = save(tmp_path, name, image)
    check_image_file(path)
    pixels = to_array(read_image(path), RGB)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (3, 6, 8))
    assert (pixels == np.array(expected).reshape(3, 1, 1)).all()


def test_palette_with_transparency(tmp_path: Path) -> None:
    image = Image.new("P", (8, 6), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    path = save(tmp_path, "palette.png", image, transparency=b"\xff\x10")
    pixels = to_array(read_image(path), RGB)
    assert pixels[:, 0, 0].tolist() == [200, 100, 50]


@pytest.mark.parametrize("preprocessing", [RGB, GREY])
def test_16_bits_keep_their_depth(tmp_path: Path, preprocessing: Preprocessing) -> None:
    image = Image.fromarray(np.full((60, 80), 33333, dtype=np.uint16))
    path = save(tmp_path, "deep.png", image)
    check_image_file(path)
    pixels = to_array(read_image(path), preprocessing)
    assert (pixels.dtype, pixels.shape) == (np.float32, (preprocessing.channels, 6, 8))
    np.testing.assert_allclose(pixels, 33333 / 65535, atol=1e-6)


def test_floating_point_images_need_the_unit_scale(tmp_path: Path) -> None:
    good = save(tmp_path, "good.tif", Image.fromarray(np.full((6, 8), 0.25, dtype=np.float32)))
    check_image_file(good)
    np.testing.assert_allclose(to_array(read_image(good), GREY), 0.25)
    bad = save(tmp_path, "bad.tif", Image.fromarray(np.full((6, 8), 25.0, dtype=np.float32)))
    with pytest.raises(InputError, match=r"outside \[0, 1\]"):
        check_image_file(bad)


def test_grey_is_luma() -> None:
    pixels = to_array(flat("RGB", (255, 0, 0)), GREY)
    assert pixels.shape == (1, 6, 8)
    assert pixels[0, 0, 0] == round(0.299 * 255)


def test_resizing_averages_what_it_shrinks() -> None:
    stripes = np.zeros((60, 80), dtype=np.uint8)
    stripes[:, ::2] = 200
    pixels = to_array(Image.fromarray(stripes), GREY)[0, 1:-1, 1:-1]
    assert np.abs(pixels.astype(int) - 100).max() <= 5, "without antialiasing stripes turn into 0 or 200"


def test_boxes_crop_before_resizing() -> None:
    halves = np.zeros((60, 80), dtype=np.uint8)
    halves[:, 40:] = 255
    right = to_array(Image.fromarray(halves), GREY, (40, 0, 80, 60))[0]
    left = to_array(Image.fromarray(halves), GREY, (0, 0, 40, 60))[0]
    assert (right[:, 1:] == 255).all(), "only the filter's edge may see beyond the box"
    assert (left[:, :-1] == 0).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_stands_images_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = np.zeros((32, 64), dtype=np.uint8)
    upright[:16, :16] = 255
    undo = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path, f"turned{suffix}", Image.fromarray(np.ascontiguousarray(undo(upright))), exif=exif.tobytes())
    facts = check_image_file(path)
    assert facts.upright == (64, 32)
    shown = np.asarray(read_image(path, facts.orientation).convert("L")).astype(int)
    assert shown.shape == (32, 64)
    assert shown[:12, :12].min() > 200
    assert shown[:, 24:].max() < 50


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize(
    "statement", [b"Exif\0\0Exif\0\0II*\0", b"Exif\0\0nonsense", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"E"]
)
def test_a_malformed_orientation_is_none(tmp_path: Path, suffix: str, statement: bytes) -> None:
    path = save(tmp_path, f"odd{suffix}", Image.fromarray(NOISE), exif=statement)
    facts = check_image_file(path)
    assert facts == ((80, 60), 1)
    assert read_image(path, facts.orientation).size == (80, 60)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_images_are_found_without_computing(tmp_path: Path, kind: str, share: float) -> None:
    buffer = io.BytesIO()
    Image.fromarray(NOISE).save(buffer, kind)
    whole = tmp_path / "whole"
    whole.write_bytes(buffer.getvalue())
    assert check_image_file(whole).stored == (80, 60)
    cut = tmp_path / "cut"
    cut.write_bytes(buffer.getvalue()[: int(share * len(buffer.getvalue()))])
    with pytest.raises(InputError, match=r"a truncated image|a damaged image|no image"):
        check_image_file(cut)
    with pytest.raises(InputError, match="cut: expected an image, but it is"):
        read_image(cut)


def test_large_jpeg_is_judged_by_its_end(tmp_path: Path) -> None:
    large = np.random.default_rng(1).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    path = save(tmp_path, "large.jpg", Image.fromarray(large), quality=95)
    content = path.read_bytes()
    assert len(content) > 40_000
    check_image_file(path)
    path.write_bytes(content + b"\0" * 10_000)
    check_image_file(path)
    path.write_bytes(content[:-5000])
    with pytest.raises(InputError, match="a truncated image"):
        check_image_file(path)


def test_a_flipped_byte_in_a_png_is_found(tmp_path: Path) -> None:
    path = save(tmp_path, "flipped.png", Image.fromarray(NOISE))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match="a damaged image"):
        check_image_file(path)


def test_files_that_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    for name, message in [
        ("text.png", "no image of a known format"),
        ("empty.png", "an empty file"),
        ("folder.png", "not a file"),
        ("none.png", "no such file"),
    ]:
        with pytest.raises(InputError, match=message):
            check_image_file(tmp_path / name)


def test_too_many_pixels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path, "bomb.png", Image.fromarray(NOISE))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="too many pixels"):
        check_image_file(path)
