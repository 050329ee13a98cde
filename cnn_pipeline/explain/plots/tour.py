"""The plots of one run in a tour, with sentences that sum them up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnn_pipeline.base.quantities import percent
from cnn_pipeline.explain.drawing.page import png_bytes
from cnn_pipeline.explain.images import ChosenImage
from cnn_pipeline.explain.inside.layers import convolutions
from cnn_pipeline.explain.part import Part
from cnn_pipeline.explain.plots.journey import LayerOutput, draw_journey
from cnn_pipeline.explain.plots.kernels import draw_kernels
from cnn_pipeline.explain.subject import Subject
from cnn_pipeline.network.build import layer_outputs
from cnn_pipeline.network.plan import plan_layers


def journey(subject: Subject, images: Sequence[ChosenImage]) -> Part:
    """The output of each layer for the images."""
    names = subject.dataset.class_names
    pixels = np.stack([image.pixels for image in images])
    layers = [
        LayerOutput(name, kind, values)
        for name, kind, values in layer_outputs(subject.model, subject.variant, pixels)
    ]
    figure = draw_journey(
        layers,
        names,
        [image.title for image in images],
        f"{subject.name}: the journey of the image",
    )
    plan = plan_layers(subject.variant, subject.dataset.image_shape, len(names))
    start = "x".join(map(str, subject.dataset.image_shape))
    sentences = [f"{subject.name}: {start} > {plan.journey}."]
    for image, row in zip(images, layers[-1].values, strict=True):
        sentences += [f"{image.title}: {note}." for note in image.notes]
        given = int(row.argmax())
        right = "" if image.label is None else f", {'right' if given == image.label else 'wrong'}"
        probability = percent(float(row[given]))
        sentences.append(f"{image.title}: {names[given]} {probability}{right}.")
    return Part({"journey.png": png_bytes(figure)}, tuple(sentences))


def kernels(subject: Subject) -> Part:
    """The first layer's weights."""
    first = convolutions(subject.model)[0]
    weights = np.asarray(first.get_weights()[0], np.float64)
    figure = draw_kernels(weights, f"{subject.name}: kernels of the first layer")
    height, width, channels, filters = weights.shape
    mixed = int(((weights > 0).any(axis=(0, 1, 2)) & (weights < 0).any(axis=(0, 1, 2))).sum())
    told = (
        f"{first.name} has {filters} kernels of {height}x{width}x{channels}, weights "
        f"{weights.min():.2f} to {weights.max():.2f}; {mixed} have both signs, so they compare "
        "pixels with each other."
    )
    return Part({"kernels.png": png_bytes(figure)}, (told,))
