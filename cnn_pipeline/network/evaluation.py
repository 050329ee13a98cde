"""Evaluate predictions: every image is scored, and sums are divided once.

`evaluate` takes any function from pixels to probabilities, so it works for a new model and for a
registered one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, TypedDict

import numpy as np
import numpy.typing as npt
import pandas as pd

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.data.rows import Rows
from cnn_pipeline.network.image_scores import score

CALIBRATION_BINS = 15  # Guo et al. 2017, "On Calibration of Modern Neural Networks", section 5
CLIP = 1e-7  # keras.config.epsilon(), with which Keras' cross-entropy clips probabilities
ROW_SUM_TOLERANCE = 1e-2  # a row rounded to bfloat16 sums to 1 within 0.4 %


Score = Literal["recall", "precision", "f1"]


class LabelledImages(Protocol):
    """The part of a split that `evaluate` needs."""

    @property
    def images(self) -> np.ndarray | Rows:
        """uint8 `[n, height, width, channels]`."""

    @property
    def labels(self) -> np.ndarray:
        """int64 `[n]`."""


class ClassScores(TypedDict):
    """Scores of one class; 0 if there is nothing to divide by."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


def count_answers(
    labels: npt.NDArray[np.int64], predictions: npt.NDArray[np.integer], k: int
) -> npt.NDArray[np.int64]:
    """Confusion matrix, int64 `[k, k]`: images by true class (row) and predicted class (column).

    NumPy, as in `class_scores`: importing scikit-learn would take a second per trainer.
    """
    counts = np.bincount(labels * k + predictions, minlength=k * k)
    return np.asarray(counts.reshape(k, k), dtype=np.int64)


def class_scores(confusion: npt.NDArray[np.int64], kind: Score) -> npt.NDArray[np.float64]:
    """Score of each class, float64 `[k]`, from a confusion matrix `[k, k]`, true classes as rows.

    0 if there is nothing to divide by.
    """
    right = confusion.diagonal()
    true, given = confusion.sum(axis=1), confusion.sum(axis=0)
    part, whole = {
        "recall": (right, true),
        "precision": (right, given),
        "f1": (2 * right, true + given),
    }[kind]
    return np.asarray(np.divide(part, whole, out=np.zeros(len(whole)), where=whole > 0))


@dataclass(frozen=True, eq=False)
class Answers:
    """The predicted class of each image of a split, with its probability.

    Takes 13 bytes per image; an `Evaluation` of ten classes takes 56.

    class_names: k names, in the order of the labels.
    labels: int64 `[n]`, the true class of each image, 0 to k - 1.
    predictions: unsigned integers `[n]`, the most probable class; the first in case of a tie.
    confidences: float32 `[n]`, the probability of that class, 0 to 1.
    """

    class_names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    predictions: npt.NDArray[np.unsignedinteger]
    confidences: npt.NDArray[np.float32]

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """bool `[n]`: whether the most probable class is the true one."""
        return np.asarray(self.predictions == self.labels)

    @property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Confusion matrix, int64 `[k, k]`: true classes are rows, predictions are columns."""
        return count_answers(self.labels, self.predictions, len(self.class_names))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Probabilities of one model on one split, and all scores computed from them.

    class_names: k names, in the order of the labels.
    labels: int64 `[n]`, the true class of each image, 0 to k - 1.
    probabilities: float32 `[n, k]`, each row summing to 1.

    Raises:
        InvalidInput: the arrays have other shapes or values; names all faults.
    """

    class_names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        faults = _faults(self.class_names, self.labels, self.probabilities)
        if faults:
            raise InvalidInput(faults)

    @cached_property
    def predictions(self) -> npt.NDArray[np.int64]:
        """int64 `[n]`: the most probable class; the first of equals."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """bool `[n]`: whether the most probable class is the true one."""
        return np.asarray(self.predictions == self.labels)

    @property
    def accuracy(self) -> float:
        """Share of images whose most probable class is the true one."""
        return float(np.count_nonzero(self.correct) / len(self.labels))

    def score(self, metric: Metric) -> float:
        """The accuracy or another metric of a sweep, from 0 to 1; see `image_scores`."""
        return score(metric, self.labels, self.predictions)

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats, summed in float64, probabilities clipped like Keras'."""
        of_truth = self.probabilities[np.arange(len(self.labels)), self.labels].astype(np.float64)
        return float(-np.log(of_truth.clip(CLIP, 1 - CLIP)).sum() / len(self.labels))

    @property
    def answers(self) -> Answers:
        """What was given for each image, without the probabilities of all other classes."""
        smallest = np.min_scalar_type(len(self.class_names) - 1)
        return Answers(
            self.class_names,
            self.labels,
            self.predictions.astype(smallest),
            self.probabilities.max(axis=1),
        )

    @cached_property
    def confusion(self) -> npt.NDArray[np.int64]:
        """Confusion matrix, int64 `[k, k]`: true classes are rows, predictions are columns."""
        return count_answers(self.labels, self.predictions, len(self.class_names))

    @property
    def per_class(self) -> list[ClassScores]:
        """Precision, recall, F1 and number of images of each class, in the order of the labels."""
        precision, recall, f1 = (
            class_scores(self.confusion, kind).tolist() for kind in ("precision", "recall", "f1")
        )
        support = self.confusion.sum(axis=1).tolist()
        return [
            ClassScores(
                name=name, precision=precision[k], recall=recall[k], f1=f1[k], support=support[k]
            )
            for k, name in enumerate(self.class_names)
        ]

    @property
    def calibration_error(self) -> float:
        """Expected calibration error in 15 equal-width bins, 0 to 1 (Guo et al. 2017).

        The mean, over images, of the distance between the accuracy and the mean confidence of
        the bin that an image's highest probability falls into. Bins are open below and closed
        above, as in the paper.
        """
        confidence = self.probabilities.max(axis=1).astype(np.float64)
        edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)[1:-1]
        bins = np.searchsorted(edges, confidence, side="left")
        gaps = np.bincount(
            bins, weights=confidence - self.correct, minlength=CALIBRATION_BINS
        )  # per bin: images x (confidence - accuracy)
        return float(np.abs(gaps).sum() / len(self.labels))

    def top_confusions(self, n: int) -> list[tuple[str, str, int]]:
        """The `n` most frequent mistakes as (true name, predicted name, images), most first.

        Mistakes that never happened are left out, so the list may be shorter. Equal counts keep
        the order of the labels.
        """
        mistakes = self.confusion.copy()
        np.fill_diagonal(mistakes, 0)
        order = np.argsort(-mistakes, axis=None, kind="stable")[: max(n, 0)]
        pairs = zip(*np.unravel_index(order, mistakes.shape), strict=True)
        return [
            (self.class_names[true], self.class_names[predicted], int(mistakes[true, predicted]))
            for true, predicted in pairs
            if mistakes[true, predicted]
        ]


def evaluate(
    predict: Callable[[np.ndarray], np.ndarray],
    split: LabelledImages,
    class_names: Sequence[str],
    batch_size: int = 256,
) -> Evaluation:
    """Score every image of `split`, the last and smaller batch included.

    `predict` takes a uint8 batch `[b, height, width, channels]` and returns probabilities
    `[b, k]`. Raises `InvalidInput` when it returns another shape, numbers that are not finite or
    not between 0 and 1, or rows that do not sum to 1 (a model that ends in logits).
    """
    if batch_size < 1:
        raise InvalidInput([f"batch_size must be 1 or more, received {batch_size}"])
    images = split.images
    probabilities = np.empty((len(images), len(class_names)), dtype=np.float32)
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        answer = np.asarray(predict(batch))
        expected = (len(batch), len(class_names))
        if answer.shape != expected:
            fault = (
                f"predict must return probabilities of shape {expected} for a batch of "
                f"{len(batch)} images, received {answer.shape}; check that the model was "
                f"built for {len(class_names)} classes"
            )
            raise InvalidInput([fault])
        probabilities[start : start + len(batch)] = answer
    return Evaluation(tuple(class_names), np.asarray(split.labels, np.int64), probabilities)


def predictions_table(evaluation: Evaluation) -> pd.DataFrame:
    """One row per image: `index`, `label` (int64) and the probabilities `p0` .. (float32).

    It is all that paired tests between models need, so it is kept with each run.
    """
    columns: dict[str, np.ndarray] = {
        "index": np.arange(len(evaluation.labels)),
        "label": evaluation.labels,
    }
    for k in range(len(evaluation.class_names)):
        columns[f"p{k}"] = evaluation.probabilities[:, k]
    return pd.DataFrame(columns)


def read_predictions(table: pd.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Labels int64 `[n]` and probabilities float32 `[n, k]` of a `predictions_table`.

    Rows come back in the order of `index`. Raises `InvalidInput` when columns are missing or
    when `index` does not count 0 to n - 1: two such tables could not be paired.
    """
    k = len(table.columns) - 2
    probability_columns = [f"p{i}" for i in range(k)]
    expected = {"index", "label", *probability_columns}
    if k < 2 or set(table.columns) != expected:
        fault = (
            "a predictions table must have the columns index, label, p0, p1, ..., "
            f"received {list(table.columns)}"
        )
        raise InvalidInput([fault])
    ordered = table.sort_values("index")
    if not np.array_equal(ordered["index"].to_numpy(), np.arange(len(table))):
        fault = (
            f"the index of a predictions table must count 0 to {len(table) - 1}, each once; "
            "rows are missing or repeated"
        )
        raise InvalidInput([fault])
    labels = ordered["label"].to_numpy(dtype=np.int64)
    return labels, ordered[probability_columns].to_numpy(dtype=np.float32)


def _faults(
    class_names: tuple[str, ...], labels: np.ndarray, probabilities: np.ndarray
) -> list[str]:
    n, k = len(labels), len(class_names)
    if n == 0:
        return ["at least one image is needed to evaluate, received none"]
    if labels.ndim != 1 or probabilities.shape != (n, k):
        return [
            (
                f"{k} class names and labels [n] need probabilities [n, {k}], received labels "
                f"{list(labels.shape)} and probabilities {list(probabilities.shape)}"
            )
        ]
    faults = []
    if labels.min() < 0 or labels.max() >= k:
        faults.append(f"labels must be 0 to {k - 1}, received {labels.min()} to {labels.max()}")
    bad = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
    if bad.size:
        return [
            *faults,
            (
                f"probabilities must be finite; {bad.size} of {n} rows are not, first row "
                f"{bad[0]}: {probabilities[bad[0]].tolist()}. The model has diverged or is damaged"
            ),
        ]
    sums = probabilities.sum(axis=1, dtype=np.float64)
    bad = np.flatnonzero(
        (np.abs(sums - 1) > ROW_SUM_TOLERANCE) | (probabilities < -ROW_SUM_TOLERANCE).any(axis=1)
    )
    if bad.size:
        faults.append(
            f"each row of probabilities must lie in 0 to 1 and sum to 1; {bad.size} of {n} rows "
            f"do not, first row {bad[0]}: sum {sums[bad[0]]:.6g}, lowest "
            f"{probabilities[bad[0]].min():.6g}. The model must end in a softmax, not in logits"
        )
    return faults
