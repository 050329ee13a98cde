"""PNG and JPEG files written here become the model's input."""

from __future__ import annotations

import os
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.data.decoding import MAX_PIXELS
from cnn_pipeline.data.picture import prepare_image
from cnn_pipeline.data.preparation import AS_IS

GREY = (28, 28, 1)
RGB = (32, 40, 3)
KINDS = "PNG, JPEG, GIF, WEBP, BMP or TIFF"


@pytest.fixture
def shoe() -> np.ndarray:
    """uint8 [28, 28]: a light shoe-like shape on black, as wide as the frame, centred."""
    rows, columns = np.mgrid[0:28, 0:28]
    body = (rows >= 8) & (rows < 20) & (columns + rows >= 19)
    shade = (120 + 4 * columns + 2 * rows).clip(0, 255)
    shade[8:20, 0] = 120
    body[19, :] = True
    return np.where(body, shade, 0).astype(np.uint8)


def png(pixels: np.ndarray | Image.Image, **options: object) -> bytes:
    return encoded(pixels, "PNG", **options)


def encoded(pixels: np.ndarray | Image.Image, kind: str, **options: object) -> bytes:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def enlarged(pixels: np.ndarray, factor: int) -> np.ndarray:
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def reason(source: Path | str | bytes, **options: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        prepare_image(source, GREY, **options)
    return str(caught.value)


def test_an_image_of_the_data_set_passes_through_bit_for_bit(
    shoe: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "schuh größe 43.png"
    path.write_bytes(png(shoe))
    for source in (path, str(path), path.read_bytes(), png(np.stack([shoe] * 3, axis=2))):
        prepared = prepare_image(source, GREY)
        assert prepared.steps == ()
        assert prepared.pixels.dtype == np.uint8
        assert prepared.pixels.shape == GREY
        np.testing.assert_array_equal(prepared.pixels[..., 0], shoe)
        assert prepared.pixels.flags.writeable


def test_an_object_at_the_side_is_not_moved_when_the_size_fits() -> None:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[2:5, 2:5] = 200
    prepared = prepare_image(png(pixels), GREY)
    assert prepared.steps == ()
    np.testing.assert_array_equal(prepared.pixels[..., 0], pixels)


def test_inverted_only(shoe: np.ndarray) -> None:
    prepared = prepare_image(png(255 - shoe), GREY)
    np.testing.assert_array_equal(prepared.pixels[..., 0], shoe)
    assert prepared.steps == ("inverted: the background was bright, the object darker",)


def test_a_big_inverted_picture_with_margins_comes_back(shoe: np.ndarray) -> None:
    big = np.full((600, 800), 255, np.uint8)
    big[20 : 20 + 560, 200 : 200 + 560] = 255 - enlarged(shoe, 20)
    prepared = prepare_image(png(big), GREY)
    difference = np.abs(prepared.pixels[..., 0].astype(int) - shoe)
    assert difference.mean() < 2
    assert difference.max() < 60  # Lanczos softens the hard edges
    assert prepared.steps == (
        "inverted: the background was bright, the object darker",
        "cropped to the object: 70 % of the width, 40 % of the height",
        "resized from 800x600 to 28x28",
        "centred: 28x12 of 28x28 pixels are the picture",
    )


def test_a_jpeg_photo_on_grey_comes_back(shoe: np.ndarray) -> None:
    photo = np.full((700, 600), 225, np.uint8)
    dark = 225 - (enlarged(shoe, 20).astype(int) * 225 // 255)
    photo[70 : 70 + 560, 20 : 20 + 560] = dark
    prepared = prepare_image(encoded(photo, "JPEG", quality=85), GREY)
    difference = np.abs(prepared.pixels[..., 0].astype(int) - shoe)
    assert difference.mean() < 5
    assert prepared.pixels[:5].max() == 0
    assert prepared.steps[1] == "made the background black; its shade was 30 of 255"


def test_a_light_object_on_a_light_background_is_not_inverted() -> None:
    picture = np.full((100, 100), 180, np.uint8)
    picture[20:80, 30:70] = 255
    prepared = prepare_image(png(picture), GREY)
    assert prepared.steps == (
        "made the background black; its shade was 180 of 255",
        "cropped to the object: 40 % of the width, 60 % of the height",
        "resized from 100x100 to 28x28",
        "centred: 19x28 of 28x28 pixels are the picture",
    )
    assert prepared.pixels[:, 4:23].min() == 255
    assert prepared.pixels[:, :4].max() == 0
    assert prepared.pixels[:, 23:].max() == 0


def test_small_pictures_are_enlarged() -> None:
    picture = np.zeros((10, 10), np.uint8)
    picture[4:6, 4:6] = 255
    prepared = prepare_image(png(picture), GREY)
    assert prepared.pixels.min() == 255
    assert prepared.steps[-1] == "resized from 10x10 to 28x28"


def test_an_even_picture_says_that_nothing_stands_out() -> None:
    prepared = prepare_image(png(np.full((50, 50), 255, np.uint8)), GREY)
    assert prepared.steps[1] == "not cropped: nothing stands out from the background"
    assert (prepared.pixels == 0).all()


def test_as_is_only_changes_the_size(shoe: np.ndarray) -> None:
    same = prepare_image(png(255 - shoe), GREY, preparation=AS_IS)
    np.testing.assert_array_equal(same.pixels[..., 0], 255 - shoe)
    assert same.steps == ()
    wide = np.full((30, 60), 200, np.uint8)
    prepared = prepare_image(png(wide), GREY, preparation=AS_IS)
    assert (prepared.pixels == 200).all()
    assert prepared.steps == (
        "resized from 60x30 to 28x28",
        "centred: 28x14 of 28x28 pixels are the picture",
    )


def test_an_rgb_model_gets_rgb() -> None:
    picture = np.zeros((64, 80, 3), np.uint8)
    picture[:] = (250, 10, 60)
    prepared = prepare_image(png(picture), RGB)
    assert prepared.pixels.shape == RGB
    assert (prepared.pixels == (250, 10, 60)).all()
    assert prepared.steps == ("resized from 80x64 to 40x32",)
    grey = prepare_image(png(np.full((32, 40), 7, np.uint8)), RGB)
    assert (grey.pixels == 7).all()
    assert grey.steps == ()


def test_rgb_padding_has_the_background_of_the_corners() -> None:
    picture = np.full((40, 40, 3), (10, 200, 30), np.uint8)
    picture[10:30, 10:30] = 255
    prepared = prepare_image(png(picture), RGB)
    assert (prepared.pixels[:, :4] == (10, 200, 30)).all()


def test_colour_becomes_grey(shoe: np.ndarray) -> None:
    colour = np.zeros((28, 28, 3), np.uint8)
    colour[..., 1] = shoe
    prepared = prepare_image(png(colour), GREY)
    assert prepared.steps == ("converted from colour to grey",)
    expected = np.asarray(Image.fromarray(colour).convert("L"))
    np.testing.assert_array_equal(prepared.pixels[..., 0], expected)


@pytest.mark.parametrize(("shade", "background"), [(40, "white"), (220, "black")])
def test_transparency_goes_on_what_the_object_stands_out_from(shade: int, background: str) -> None:
    picture = np.zeros((28, 28, 4), np.uint8)
    picture[8:20, 8:20] = (shade, shade, shade, 255)
    prepared = prepare_image(png(picture), GREY)
    assert prepared.steps[0] == f"put on {background} where transparent"
    assert prepared.pixels[0, 0, 0] == 0
    assert prepared.pixels[10, 10, 0] == max(shade, 255 - shade)


def test_an_opaque_alpha_channel_is_nothing_to_tell(shoe: np.ndarray) -> None:
    alpha = np.full((28, 28), 255, np.uint8)
    prepared = prepare_image(png(np.stack([shoe, shoe, shoe, alpha], axis=2)), GREY)
    assert prepared.steps == ()
    np.testing.assert_array_equal(prepared.pixels[..., 0], shoe)


def test_palettes_with_a_transparent_colour() -> None:
    picture = Image.new("P", (28, 28), 0)
    picture.putpalette([0, 0, 0, 250, 250, 250])
    picture.paste(1, (5, 5, 20, 20))
    prepared = prepare_image(png(picture, transparency=0), GREY)
    assert prepared.steps == ("put on black where transparent",)
    assert prepared.pixels[10, 10, 0] == 250


def test_sixteen_bits_are_scaled(shoe: np.ndarray) -> None:
    deep = Image.fromarray(shoe.astype(np.uint16) * 257)
    prepared = prepare_image(png(deep), GREY)
    assert prepared.steps == ("reduced from 16 to 8 bits per pixel",)
    np.testing.assert_array_equal(prepared.pixels[..., 0], shoe)


def test_one_bit_pictures() -> None:
    bits = np.zeros((28, 28), bool)
    bits[5:20, 5:20] = True
    prepared = prepare_image(png(bits), GREY)
    np.testing.assert_array_equal(prepared.pixels[..., 0], bits * np.uint8(255))


def test_cmyk() -> None:
    picture = Image.new("CMYK", (40, 32), (0, 255, 255, 0))
    prepared = prepare_image(encoded(picture, "JPEG"), RGB)
    assert prepared.steps == ("converted from CMYK to RGB",)
    assert np.abs(prepared.pixels.astype(int) - (255, 0, 0)).max() <= 3


def test_the_camera_orientation_is_followed(shoe: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held so that the picture must turn by 90 degrees
    turned = Image.fromarray(shoe).transpose(Image.Transpose.ROTATE_90)
    prepared = prepare_image(png(turned, exif=exif), GREY)
    assert prepared.steps == ("turned upright, as the camera recorded",)
    np.testing.assert_array_equal(prepared.pixels[..., 0], shoe)


def test_the_first_of_several_frames(shoe: np.ndarray) -> None:
    second = Image.fromarray(np.zeros_like(shoe))
    animated = png(Image.fromarray(shoe), save_all=True, append_images=[second])
    prepared = prepare_image(animated, GREY)
    assert prepared.steps == ("took the first of 2 frames",)
    np.testing.assert_array_equal(prepared.pixels[..., 0], shoe)


def test_large_pictures_are_reduced_before_work() -> None:
    picture = np.full((4100, 3000), 255, np.uint8)
    picture[1000:3000, 500:2500] = 0
    prepared = prepare_image(png(picture), GREY)
    assert (prepared.pixels == 255).all()
    assert prepared.steps[-1] == "resized from 3000x4100 to 28x28"


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_truncated_files_are_refused(kind: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 60), dtype=np.uint8)
    content = encoded(noise, kind)
    for length in (len(content) // 2, len(content) // 10 * 9):
        path = tmp_path / f"cut-{length}.{kind.lower()}"
        path.write_bytes(content[:length])
        assert reason(path).startswith(f"{path}: the picture is damaged: ")


@pytest.mark.filterwarnings("ignore:Invalid APNG:UserWarning")
def test_damaged_files_are_refused_or_read_but_never_crash(shoe: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    contents = [
        png(enlarged(shoe, 2)),
        encoded(enlarged(shoe, 2), "JPEG"),
        png(Image.fromarray(shoe), save_all=True, append_images=[Image.fromarray(255 - shoe)]),
        *(encoded(shoe, kind) for kind in ("GIF", "WEBP", "BMP", "TIFF")),
    ]
    reasons = []
    for i in range(200 * len(contents)):
        content = bytearray(contents[i % len(contents)])
        for _ in range(4):
            content[rng.integers(len(content))] = rng.integers(256)
        try:
            assert prepare_image(bytes(content), GREY).pixels.shape == GREY
        except InvalidInput as error:
            reasons.append(str(error))
    assert len(reasons) > 100
    assert all(reason.startswith("the image: ") for reason in reasons)


def test_what_is_not_a_picture_is_refused(tmp_path: Path, shoe: np.ndarray) -> None:
    missing = tmp_path / "missing.png"
    assert reason(missing) == f"{missing}: there is no such file"
    assert reason(tmp_path) == f"{tmp_path}: must be a picture file, received no file"
    assert reason(b"", name="empty.png") == "empty.png: the file is empty"
    page = b"<html>not found</html>"
    assert reason(page, name="a.png") == f"a.png: this is not a {KINDS} picture"
    assert KINDS in reason(encoded(shoe, "PPM"))
    assert "cannot be read" in reason("a\0b.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    assert "received no file" in reason(pipe)


def test_decompression_bombs_are_refused_before_they_unfold() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    bomb = png(Image.new("1", (side, side)))
    assert len(bomb) < 100_000
    assert "more than 50 million pixels" in reason(bomb)
    header = bytearray(png(np.zeros((28, 28), np.uint8)))
    header[16:24] = (100_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    assert "more than 50 million pixels" in reason(bytes(header))


def test_a_shape_that_no_model_has_is_refused(shoe: np.ndarray) -> None:
    with pytest.raises(InvalidInput, match="1 or 3 channels"):
        prepare_image(png(shoe), (28, 28, 2))
