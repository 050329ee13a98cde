"""Single test images: where variants disagree, and their most confident mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.comparison.report.pictures import thumbnail
from cnn_pipeline.data.rows import Images
from cnn_pipeline.network.evaluation import Answers

DISAGREEMENTS, ONE_SIDED, MISTAKES = 24, 12, 14
"""Images in one gallery of each kind."""
MOST = 20
"""Variants with a gallery of mistakes, and classes with an example: limits the page's size."""


@dataclass(frozen=True)
class Vote:
    """A variant's confidence in its prediction for one image."""

    label: str
    probability: float


@dataclass(frozen=True)
class Answer:
    """A class that some variants predicted."""

    name: str
    right: bool
    votes: tuple[Vote, ...]


@dataclass(frozen=True)
class ImageCard:
    """One test image with the variants' predictions."""

    index: int
    true: str
    source: str
    """Data URI."""
    answers: tuple[Answer, ...]
    """Most votes first."""


@dataclass(frozen=True)
class Gallery:
    """Some of all images with a property."""

    total: int
    cards: tuple[ImageCard, ...]


@dataclass(frozen=True, eq=False)
class Panel:
    """The predictions of one network per variant for the same images.

    answers: by label.
    images: those that were evaluated, in order.
    """

    answers: dict[str, Answers]
    images: Images

    def disagreements(self) -> Gallery:
        """Images with different predictions; most predictions, then closest votes, first."""
        votes = self._predictions
        counts = np.array([np.sum(votes == k, axis=0) for k in range(self._num_classes)])
        distinct = (counts > 0).sum(axis=0)
        split = np.flatnonzero(distinct > 1)
        order = np.lexsort((split, counts.max(axis=0)[split], -distinct[split]))
        return self._gallery(split[order], DISAGREEMENTS)

    def only_right(self, label: str, other: str) -> Gallery:
        """Images that `label` gets right and `other` wrong, highest summed confidence first.

        The cards show all variants.
        """
        ours, theirs = self.answers[label], self.answers[other]
        found = np.flatnonzero(ours.correct & ~theirs.correct)
        sureness = ours.confidences + theirs.confidences
        return self._gallery(found[np.argsort(-sureness[found], kind="stable")], ONE_SIDED)

    def wrong_in_all(self) -> Gallery:
        """Images that every variant gets wrong, highest mean confidence first."""
        every = list(self.answers.values())
        found = np.flatnonzero(~np.any([answers.correct for answers in every], axis=0))
        sureness = np.mean([answers.confidences for answers in every], axis=0)
        return self._gallery(found[np.argsort(-sureness[found], kind="stable")], MISTAKES)

    def mistakes(self, label: str) -> Gallery:
        """The mistakes of one variant, most confident first. Cards show only its predictions."""
        answers = self.answers[label]
        wrong = np.flatnonzero(~answers.correct)
        sureness = answers.confidences[wrong]
        return self._gallery(wrong[np.argsort(-sureness, kind="stable")], MISTAKES, (label,))

    def examples(self) -> tuple[ImageCard, ...]:
        """The first test image of each class."""
        labels = self._labels
        firsts = [np.flatnonzero(labels == k)[:1] for k in range(self._num_classes)[:MOST]]
        return tuple(self._card(int(index), ()) for index in np.concatenate(firsts))

    @property
    def _predictions(self) -> NDArray[np.unsignedinteger]:
        return np.array([answers.predictions for answers in self.answers.values()])

    @property
    def _labels(self) -> NDArray[np.int64]:
        return next(iter(self.answers.values())).labels

    @property
    def _num_classes(self) -> int:
        return len(next(iter(self.answers.values())).class_names)

    def _gallery(
        self, indices: NDArray[np.intp], most: int, voters: Sequence[str] | None = None
    ) -> Gallery:
        chosen = tuple(self.answers) if voters is None else voters
        cards = tuple(self._card(int(index), chosen) for index in indices[:most])
        return Gallery(len(indices), cards)

    def _card(self, index: int, voters: Sequence[str]) -> ImageCard:
        first = next(iter(self.answers.values()))
        true = int(first.labels[index])
        votes: dict[int, list[Vote]] = {}
        for label in voters:
            answers = self.answers[label]
            given = int(answers.predictions[index])
            probability = float(answers.confidences[index])
            votes.setdefault(given, []).append(Vote(label, probability))
        ordered = sorted(votes.items(), key=lambda item: (-len(item[1]), item[0]))
        return ImageCard(
            index,
            first.class_names[true],
            thumbnail(self.images[index]),
            tuple(
                Answer(first.class_names[given], given == true, tuple(cast))
                for given, cast in ordered
            ),
        )
