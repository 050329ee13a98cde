"""Explain convolution and pooling on a real image, without a model or a sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnn_pipeline.data.catalog import FASHION_MNIST_SAMPLE
from cnn_pipeline.data.dataset import load_dataset
from cnn_pipeline.explain.convolution import arithmetic
from cnn_pipeline.explain.convolution.figure import draw_convolution, draw_pooling
from cnn_pipeline.explain.convolution.hand_made import HAND_MADE
from cnn_pipeline.explain.convolution.hand_made_figure import draw_filtered
from cnn_pipeline.explain.convolution.text import convolution_text, negative_text, pooling_text
from cnn_pipeline.explain.drawing.page import png_bytes
from cnn_pipeline.explain.images import ChosenImage, ImageChoice, choose_images
from cnn_pipeline.explain.part import Part
from cnn_pipeline.settings.trial import DataSettings

FILTER = HAND_MADE["vertical"]
_SHOWN = 3  # images in the picture of filters


def arithmetic_tour(
    *, convolution: bool, pooling: bool, choice: ImageChoice | None = None
) -> list[Part]:
    """The worked examples that are asked for, each as text and picture, then whole images.

    The images come from the package's sample, unless a file is chosen.

    Raises:
        InvalidInput: the file is not an image, or the sample has no such image.
    """
    sample = load_dataset(DataSettings(source=FASHION_MNIST_SAMPLE.name), Path())
    images = choose_images(choice, sample)
    parts = []
    if convolution:
        parts.append(_convolution(images[0]))
    if pooling:
        parts.append(_pooling(images[0]))
    return [*parts, _filters(images)]


def _convolution(image: ChosenImage) -> Part:
    """The pixels with the largest and the most negative sum."""
    pixels = image.pixels[..., 0]
    sums = arithmetic.convolve(pixels, FILTER.weights)
    places = [arithmetic.strongest(sums), arithmetic.strongest(-sums)]
    steps = [
        arithmetic.convolution_at(pixels, FILTER.weights, row + 1, column + 1)
        for row, column in places
    ]
    best, worst = steps
    text = convolution_text(pixels, FILTER, best, image.title)
    shown = [best]
    if worst.total < 0:  # a uniform image has no negative sum
        shown.append(worst)
        text += "\n\n" + negative_text(pixels, FILTER, worst.row, worst.column)
    figure = draw_convolution(
        pixels,
        shown,
        "Convolution: nine products and a sum for each pixel",
        f"{image.title}; the filter '{FILTER.name}' finds {FILTER.finds}",
    )
    above = int(np.count_nonzero(sums > 0))
    text += (
        f"\n\n{above} of the {sums.size} sums are above 0; ReLU makes the other "
        f"{sums.size - above} zero."
    )
    notes = tuple(f"{image.title}: {note}" for note in image.notes)
    return Part({"convolution.png": png_bytes(figure)}, (*notes, text))


def _pooling(image: ChosenImage) -> Part:
    answers = arithmetic.relu(arithmetic.convolve(image.pixels[..., 0], FILTER.weights))
    step = arithmetic.pooling_at(answers, *arithmetic.telling_window(answers))
    subject = f"the answers of the filter '{FILTER.name}' on {image.title}"
    text = pooling_text(answers, step, f"the answers of the filter '{FILTER.name}'")
    figure = draw_pooling(
        answers, step, "Max-pooling: of four numbers the largest is kept", subject
    )
    return Part({"pooling.png": png_bytes(figure)}, (text,))


def _filters(images: list[ChosenImage]) -> Part:
    shown = [images[0], *images[2:]][:_SHOWN]  # of two images of one class, the first
    figure = draw_filtered(
        [image.pixels[..., 0] for image in shown],
        [image.name for image in shown],
        list(HAND_MADE.values()),
        "Filters made by hand, before and after pooling",
    )
    return Part({"filters.png": png_bytes(figure)}, ())
