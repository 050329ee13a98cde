"""The tour of the arithmetic: text and pictures."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image

from cnn_pipeline.explain.convolution.tour import arithmetic_tour
from cnn_pipeline.explain.images import parse_images


def is_png(content: bytes) -> bool:
    return Image.open(BytesIO(content)).format == "PNG"


def test_the_arithmetic_of_both_and_of_one() -> None:
    both = arithmetic_tour(convolution=True, pooling=True)
    names = [name for part in both for name in part.files]
    assert names == ["convolution.png", "pooling.png", "filters.png"]
    assert all(is_png(content) for part in both for content in part.files.values())
    (first, filters) = arithmetic_tour(convolution=False, pooling=True)
    assert list(first.files) == ["pooling.png"]
    assert filters.sentences == ()


def test_the_arithmetic_of_an_even_image(tmp_path: Path) -> None:
    """No edge, nothing negative: still a picture and a text."""
    file = tmp_path / "black.png"
    Image.new("L", (28, 28)).save(file)
    parts = arithmetic_tour(convolution=True, pooling=True, choice=parse_images(str(file)))
    assert "0 of the 676 sums are above 0" in parts[0].sentences[-1]
    assert "ReLU makes it 0" not in parts[0].sentences[-1]
