"""Pictures of any size and kind become images of one size: in training as in `predict`, once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_pipeline.base.events import PreparationProgress, listening
from cnn_pipeline.data.formats import image_files
from cnn_pipeline.data.formats.image_files import Pictures, read_pictures
from cnn_pipeline.data.picture import prepare_image
from cnn_pipeline.data.preparation import Preparation
from cnn_pipeline.settings.trial import DataSettings

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (12, 10, 3), dtype=np.uint8)
RED, WHITE, BLACK = (255, 0, 0), (255, 255, 255), (0, 0, 0)


def read(paths: list[Path], cache: Path | None = None, **declared: str) -> Pictures:
    found = read_pictures(paths, DataSettings(**declared), cache)
    assert isinstance(found, Pictures), found
    return found


def save(picture: Image.Image | np.ndarray, path: Path, **options: object) -> Path:
    made = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    made.save(path, **options)
    return path


def even(folder: Path, *sizes: tuple[int, int], colour: object = RED) -> list[Path]:
    """Pictures of one colour, of these heights and widths."""
    return [
        save(Image.new("RGB", (width, height), colour), folder / f"{at:03}.png")
        for at, (height, width) in enumerate(sizes)
    ]


# --- size -----------------------------------------------------------------------------------


def test_the_median_is_the_size_where_sizes_differ_and_that_is_said(tmp_path: Path) -> None:
    found = read(even(tmp_path, (10, 10), (20, 30), (21, 90), (40, 41)))
    assert found.images.shape == (4, 20, 36, 3)  # medians of 20.5 and 35.5, rounded to even
    assert found.notes[0] == (
        "the pictures have 4 sizes (height x width: 10x10, 20x30, 21x90 and 1 more), and all "
        "become 20x36, the median; --image-size sets another"
    )
    assert "4 of 4 pictures: resized to 20x36 (height x width)" in found.notes


def test_the_common_size_and_a_declared_one(tmp_path: Path) -> None:
    paths = even(tmp_path, (10, 20), (10, 20))
    same = read(paths)
    assert (same.images.shape, same.notes) == ((2, 10, 20, 3), ())
    assert same.preparation == Preparation()
    declared = read(paths, image_size="5x10")
    assert declared.images.shape == (2, 5, 10, 3)
    assert declared.notes == ("2 of 2 pictures: resized to 5x10 (height x width)",)
    assert (declared.images == RED).all()
    assert declared.preparation == Preparation()  # no picture had to be padded


@pytest.mark.parametrize(
    ("fit", "background", "filled"),
    [("pad", "white", WHITE), ("pad", "#00ff80", (0, 255, 128)), ("crop", "white", RED),
     ("stretch", "white", RED)],
)  # fmt: skip
def test_each_way_to_fit(
    fit: str, background: str, filled: tuple[int, int, int], tmp_path: Path
) -> None:
    found = read(even(tmp_path, (8, 16)), image_size="8x8", fit=fit, background=background)
    (image,) = found.images
    assert (image[2:6] == RED).all()
    assert (image[:2] == filled).all() and (image[6:] == filled).all()
    padded = "#ffffff" if background == "white" else background
    assert found.preparation.background == (padded if fit == "pad" else "corners")


def test_crop_keeps_the_middle_and_stretch_all(tmp_path: Path) -> None:
    halves = np.zeros((8, 16, 3), np.uint8)
    halves[:, 4:12] = WHITE
    paths = [save(halves, tmp_path / "a.png")]
    assert (read(paths, image_size="8x8", fit="crop").images == WHITE).mean() > 0.95
    stretched = read(paths, image_size="8x8", fit="stretch").images[0, :, :, 0].mean(axis=0)
    assert stretched[[0, 7]].max() < 30 and stretched[[3, 4]].min() > 225


# --- kinds of pictures ----------------------------------------------------------------------


def turned(path: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6
    return save(Image.fromarray(COLOUR).transpose(Image.Transpose.ROTATE_90), path, exif=exif)


def deep(path: Path) -> Path:
    return save(Image.fromarray(COLOUR[..., 0].astype(np.uint16) * 257), path)


def half_transparent(path: Path) -> Path:
    alpha = np.full((12, 10, 1), 255, np.uint8)
    alpha[:6] = 0
    return save(np.concatenate([COLOUR, alpha], axis=2), path)


def mode(name: str) -> Callable[[Path], Path]:
    return lambda path: save(Image.fromarray(COLOUR).convert(name), path)


KINDS = [
    (turned, "a.png", "turned upright, as the camera recorded"),
    (turned, "a.jpg", "turned upright, as the camera recorded"),
    (deep, "a.png", "reduced from 16 to 8 bits per pixel"),
    (deep, "a.tif", "reduced from 16 to 8 bits per pixel"),
    (half_transparent, "a.png", "put on white where transparent"),
    (half_transparent, "a.webp", "put on white where transparent"),
    (mode("P"), "a.png", "read from a palette"),
    (mode("P"), "a.gif", "read from a palette"),
    (mode("1"), "a.bmp", "read from 1 bit per pixel"),
    (mode("LA"), "a.png", "alpha channel left out, which was opaque"),
    (mode("RGBA"), "a.png", "alpha channel left out, which was opaque"),
    (mode("CMYK"), "a.jpg", "converted from CMYK to RGB"),
    (mode("RGB"), "a.jfif", None),
    (mode("L"), "a.jpe", None),
]


@pytest.mark.parametrize(("make", "name", "step"), KINDS)
@pytest.mark.parametrize("size", [None, "6x6"])
def test_training_and_predict_see_the_same_pixels(
    make: Callable[[Path], Path], name: str, step: str | None, size: str | None, tmp_path: Path
) -> None:
    path = make(tmp_path / name)
    found = read([path], **({"image_size": size} if size else {}))
    if size is None:
        assert found.images.shape[1:3] == (12, 10)
    assert (f"1 of 1 pictures: {step}" in found.notes) == (step is not None)
    shape = found.images.shape[1:]
    again = prepare_image(path, shape, preparation=found.preparation)
    np.testing.assert_array_equal(again.pixels, found.images[0])


def test_upright_pictures_have_their_size_when_they_are_turned(tmp_path: Path) -> None:
    paths = [turned(tmp_path / "a.jpg"), save(COLOUR, tmp_path / "b.png")]
    found = read(paths)
    assert found.images.shape == (2, 12, 10, 3)
    np.testing.assert_array_equal(found.images[1], COLOUR)


def test_channels_are_those_of_the_files_unless_declared(tmp_path: Path) -> None:
    paths = [save(COLOUR[..., 0], tmp_path / "a.png"), mode("1")(tmp_path / "b.png")]
    assert read(paths).images.shape[3] == 1
    repeated = read(paths, color="rgb")
    assert (repeated.images[0] == COLOUR[..., :1]).all()
    assert "2 of 2 pictures: grey repeated in three channels" in repeated.notes
    paths.append(save(COLOUR, tmp_path / "c.png"))
    mixed = read(paths)
    assert mixed.images.shape[3] == 3
    assert "2 of 3 pictures: grey repeated in three channels" in mixed.notes
    grey = read(paths, color="grey")
    assert "1 of 3 pictures: converted from colour to grey" in grey.notes
    expected = np.asarray(Image.fromarray(COLOUR).convert("L"))
    np.testing.assert_array_equal(grey.images[2, ..., 0], expected)


def test_the_background_is_under_what_is_transparent(tmp_path: Path) -> None:
    icon = Image.new("RGBA", (4, 4), (255, 255, 255, 0))
    icon.paste((255, 255, 255, 255), (1, 1, 3, 3))
    paths = [save(icon, tmp_path / "a.png")]
    black = read(paths, background="black")
    assert (black.images[0, 0, 0].tolist(), black.images[0, 1, 1].tolist()) == ([0] * 3, [255] * 3)
    assert black.preparation.background == "#000000"
    white = read(paths)
    assert white.preparation.background == "#ffffff"
    assert "1 of 1 pictures: nothing stands out from white, on which it was put" in white.notes


@pytest.mark.parametrize("value", [70_000, -1])
def test_more_than_sixteen_bits_are_refused(value: int, tmp_path: Path) -> None:
    path = save(Image.fromarray(np.full((4, 4), value, np.int32)), tmp_path / "a.tif")
    (fault,) = read_pictures([path], DataSettings())
    assert fault == (
        f"{path}: pixels must be whole numbers of at most 16 bits, received numbers from "
        f"{value} to {value}"
    )
    path = save(Image.fromarray(np.full((4, 4), 0.5, np.float32)), tmp_path / "b.tif")
    (fault,) = read_pictures([path], DataSettings())
    assert fault.endswith("received fractions")


# --- cache, cores and progress --------------------------------------------------------------


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "prepare_image", lambda *_, **__: pytest.fail("prepared"))


def equal(one: Pictures, other: Pictures) -> bool:
    known = (one.preparation, one.notes) == (other.preparation, other.notes)
    return known and np.array_equal(one.images, other.images)


def test_pictures_are_prepared_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = even(tmp_path, (10, 10), (10, 20))
    first = read(paths, tmp_path / "cache")
    with monkeypatch.context() as without:
        forbid(without)
        assert equal(read(paths, tmp_path / "cache"), first)
    assert not first.images[0].flags.writeable


def test_content_counts_and_neither_time_nor_size(tmp_path: Path) -> None:
    paths = [save(np.full((9, 9), 7, np.uint8), tmp_path / f"{at}.bmp") for at in range(2)]
    cache = tmp_path / "cache"
    read(paths, cache)
    before = paths[1].stat()
    content = bytearray(paths[1].read_bytes())
    content[-4] ^= 8
    paths[1].write_bytes(content)
    os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert paths[1].stat().st_size == before.st_size
    changed = read(paths, cache)
    assert equal(changed, read(paths))
    assert not np.array_equal(changed.images[0], changed.images[1])


@pytest.mark.parametrize(
    "declared",
    [{"image_size": "4x4"}, {"fit": "crop"}, {"color": "grey"}, {"background": "black"}],
)
def test_other_settings_are_prepared_anew(declared: dict[str, str], tmp_path: Path) -> None:
    paths = even(tmp_path, (10, 10), (10, 20))
    read(paths, tmp_path / "cache")
    assert equal(read(paths, tmp_path / "cache", **declared), read(paths, **declared))


@pytest.mark.parametrize("at", [5, -5])
def test_a_damaged_cache_is_not_believed(at: int, tmp_path: Path) -> None:
    paths = even(tmp_path, (10, 10), (10, 20))
    read(paths, tmp_path / "cache")
    (kept,) = (tmp_path / "cache" / "made").iterdir()
    content = bytearray(kept.read_bytes())
    content[at] ^= 1
    kept.write_bytes(content)
    assert equal(read(paths, tmp_path / "cache"), read(paths))


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    paths = even(tmp_path, (10, 10))
    assert equal(read(paths, tmp_path / "cache"), read(paths))


def test_pictures_are_prepared_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=60)
    monkeypatch.setattr(image_files, "available_cores", lambda: 2)

    def prepared(path: Path, *args: object, **options: object) -> object:
        both.wait()  # breaks unless two pictures are prepared at once
        return prepare_image(path, *args, **options)

    monkeypatch.setattr(image_files, "prepare_image", prepared)
    assert len(read(even(tmp_path, *[(5, 5)] * 4)).images) == 4


def test_progress_is_told_where_it_takes_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = even(tmp_path, *[(5, 5)] * 3)
    heard: list[object] = []
    with listening(heard.append):
        monkeypatch.setattr(image_files, "_TELL_SECONDS", 60.0)
        read(paths)
        assert heard == []
        monkeypatch.setattr(image_files, "_TELL_SECONDS", 0.0)
        read(paths)
    assert heard == [PreparationProgress(done, 3) for done in (1, 2, 3)]


@pytest.mark.slow
def test_a_trainer_finds_what_was_prepared_before() -> None:
    """Else each deletes what the other has prepared. Pillow's libraries depend on the process."""
    script = """
from cnn_pipeline.data.formats.image_files import _key
from cnn_pipeline.settings.trial import DataSettings
print(_key(["a"], DataSettings()))
"""
    keys = {
        subprocess.run(
            [sys.executable, "-c", first + script], capture_output=True, text=True, check=True
        ).stdout
        for first in ("", "import tensorflow", "import matplotlib.pyplot, scipy.special")
    }
    assert len(keys) == 1
