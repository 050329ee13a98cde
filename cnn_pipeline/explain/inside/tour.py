"""What the filters of one network respond to, with sentences that sum it up."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence

import numpy as np

from cnn_pipeline.base.quantities import percent
from cnn_pipeline.data.rows import Images
from cnn_pipeline.explain.drawing.page import png_bytes
from cnn_pipeline.explain.images import ChosenImage
from cnn_pipeline.explain.inside.ablation import ablate
from cnn_pipeline.explain.inside.ablation_figure import draw_ablation
from cnn_pipeline.explain.inside.findings import ExcitingPatches, LayerAblation, Look
from cnn_pipeline.explain.inside.layers import batches, convolutions
from cnn_pipeline.explain.inside.occlusion import look
from cnn_pipeline.explain.inside.occlusion_figure import draw_looks
from cnn_pipeline.explain.inside.patches import exciting_patches
from cnn_pipeline.explain.inside.patches_figure import draw_patches
from cnn_pipeline.explain.part import Part
from cnn_pipeline.explain.subject import Subject
from cnn_pipeline.network.evaluation import evaluate

_LOOKS = 7  # images in a row


def patches(subject: Subject) -> Part:
    """What excites each filter of each convolution, one picture per layer."""
    dataset = subject.dataset
    files, sentences = {}, []
    for number, layer in enumerate(convolutions(subject.model)):
        found = exciting_patches(
            subject.model, layer, dataset.validation.images, dataset.validation.labels
        )
        figure = draw_patches(
            found,
            dataset.validation.images,
            dataset.class_names,
            f"{subject.name}: what excites the filters of {layer.name}",
            kernels=np.asarray(layer.get_weights()[0]) if number == 0 else None,
        )
        files[f"patches-{layer.name}.png"] = png_bytes(figure)
        sentences.append(_excited(found, dataset.class_names))
    return Part(files, tuple(sentences))


def ablation(subject: Subject) -> Part:
    """The accuracy without each filter: one picture of all convolutions, and a table."""
    validation, names = subject.dataset.validation, subject.dataset.class_names
    layers = convolutions(subject.model)
    found = [ablate(subject.model, layer, validation.images, validation.labels) for layer in layers]
    figure = draw_ablation(
        found,
        names,
        f"{subject.name}: what each filter does for the result",
        kernels={layers[0].name: np.asarray(layers[0].get_weights()[0])},
    )
    files = {"ablation.png": png_bytes(figure), "ablation.csv": ablation_csv(found, names).encode()}
    return Part(files, tuple(_missed(layer, names) for layer in found))


def ablation_csv(layers: Sequence[LayerAblation], names: Sequence[str]) -> str:
    """One row per filter: accuracies as shares, changes and margins in points."""
    text = io.StringIO()
    fields = ["layer", "filter", "images", "accuracy", "change_points", "margin_points"]
    fields += ["class_that_loses_most", "recall_lost_points"]
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    for layer in layers:
        for k in layer.order:
            hurt = int(layer.hurt[k])
            writer.writerow(
                {
                    "layer": layer.layer,
                    "filter": k,
                    "images": layer.images,
                    "accuracy": f"{layer.accuracies[k]:.6f}",
                    "change_points": f"{100 * layer.changes[k]:.4f}",
                    "margin_points": f"{100 * layer.margins[k]:.4f}",
                    "class_that_loses_most": "" if hurt < 0 else names[hurt],
                    "recall_lost_points": f"{100 * layer.hurt_by[k]:.4f}",
                }
            )
    return text.getvalue()


def looks(subject: Subject, images: Sequence[ChosenImage] | None) -> Part:
    """Where the network looks: in the given images, by default in right and wrong ones."""
    dataset = subject.dataset
    background = _background(dataset.test.images)

    def see(pixels: np.ndarray, label: int | None) -> Look:
        return look(subject.model.predict_on_batch, pixels, background, label)

    if images is not None:
        rows = [("", [see(image.pixels, image.label) for image in images])]
    else:
        right, wrong = _right_and_wrong(subject)
        test = dataset.test
        rows = [
            (heading, [see(test.images[i], int(test.labels[i])) for i in chosen])
            for heading, chosen in (
                ("right answers: what it takes for the mark of each class", right),
                ("wrong answers: where it saw that class by mistake", wrong),
            )
            if chosen
        ]
    figure = draw_looks(rows, dataset.class_names, f"{subject.name}: where it looks")
    sentences = [_fragile(heading, found) for heading, found in rows]
    return Part({"looks.png": png_bytes(figure)}, tuple(sentences))


def _excited(found: ExcitingPatches, names: Sequence[str]) -> str:
    """'conv1: one answer sees 3x3 pixels; filters answer most to Ankle boot (18 of 64), ...'."""
    filters = len(found.favourites)
    counts = Counter(found.favourites[found.favourites >= 0].tolist()).most_common(3)
    told = f"{found.layer}: one answer sees {found.field}x{found.field} pixels"
    if counts:
        favourites = ", ".join(f"{names[k]} ({count} of {filters})" for k, count in counts)
        told += f"; the filters' favourite classes are {favourites}"
    if len(found.dead):
        told += f"; no image excites {', '.join(map(str, found.dead))}"
    return told + "."


def _missed(layer: LayerAblation, names: Sequence[str]) -> str:
    worst = int(layer.order[0])
    told = (
        f"{layer.layer}: without filter {worst} accuracy goes from {percent(layer.accuracy, 2)} to "
        f"{percent(layer.accuracies[worst], 2)} on {layer.images:,} validation images"
    )
    hurt = int(layer.hurt[worst])
    if hurt >= 0:
        told += f", and {names[hurt]} loses {100 * layer.hurt_by[worst]:.1f} points of recall"
    needed, filters = len(layer.needed), len(layer.changes)
    return f"{told}; {needed or 'none'} of {filters} filters are missed beyond chance."


def _right_and_wrong(subject: Subject) -> tuple[list[int], list[int]]:
    """Test images: the surest mistake per predicted class, and a right one of each such class."""
    dataset = subject.dataset
    test = evaluate(subject.model.predict_on_batch, dataset.test, dataset.class_names)
    confidence = test.probabilities.max(axis=1)
    surest = np.argsort(-np.where(test.correct, -1.0, confidence), kind="stable")
    wrong: dict[int, int] = {}
    for i in surest[: np.count_nonzero(~test.correct)]:
        wrong.setdefault(int(test.predictions[i]), int(i))
    classes = list(wrong) or list(range(len(dataset.class_names)))
    right = [np.flatnonzero(test.correct & (test.labels == k)) for k in classes[:_LOOKS]]
    return [int(found[0]) for found in right if len(found)], list(wrong.values())[:_LOOKS]


def _background(images: Images) -> np.ndarray:
    """uint8 `[channels]`: the median of the images' outermost pixels."""
    edges = [
        edge.reshape(-1, images.shape[3])
        for some in batches(images)
        for edge in (some[:, 0], some[:, -1], some[:, :, 0], some[:, :, -1])
    ]
    pixels = np.concatenate(edges)
    return np.asarray(np.median(pixels, axis=0), np.uint8)


def _fragile(heading: str, found: Sequence[Look]) -> str:
    """How many answers one covered square can change."""
    changed = sum(int(one.covered[one.weakest].argmax()) != one.given for one in found)
    about = heading.partition(":")[0] or "answers"
    return (
        f"{about}: one covered square of {found[0].size}x{found[0].size} pixels changes "
        f"{changed} of {len(found)}."
    )
