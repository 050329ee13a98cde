"""Whether new data are still the data that the champion knows: shape, classes, label shares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import special

from cnn_pipeline.settings.trial import Settings


class DriftSettings(Settings):
    """How far the labels of new data may lie from those of the champion's data."""

    max_cramers_v: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """Strongest association between data set and label (Cramer's V); 0.1 is a small effect."""
    significance: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.001
    """Chance of a false alarm: a shift also needs a chi-square p-value below this."""


@dataclass(frozen=True)
class DataSummary:
    """What is kept of a data set beside a model that was trained on it."""

    digest: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    fitted_counts: tuple[int, ...]
    """Training and validation images of each class."""
    test_counts: tuple[int, ...]


@dataclass(frozen=True)
class Finding:
    """One thing that was compared."""

    name: str
    required: str
    measured: str
    passed: bool


@dataclass(frozen=True)
class DriftReport:
    """New data held against the champion's."""

    findings: tuple[Finding, ...]

    @property
    def stops(self) -> tuple[Finding, ...]:
        """What forbids a retraining; empty where nothing does."""
        return tuple(finding for finding in self.findings if not finding.passed)

    @property
    def reason(self) -> str:
        """Why the retraining stops, in a sentence; empty where it goes on."""
        return "; ".join(
            f"{f.name}: required {f.required}, measured {f.measured}" for f in self.stops
        )


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's chi-square test of homogeneity of two rows of counts."""

    statistic: float
    freedom: int
    p_value: float
    cramers_v: float
    """Effect size, 0 to 1: sqrt(statistic / n) for two rows (Cramer 1946)."""


def compare_data(old: DataSummary, new: DataSummary, settings: DriftSettings) -> DriftReport:
    """Hold new data against the champion's.

    Classes are compared by name, so that a class that moved to another number is seen. Label
    shares are compared on training and test images separately.
    """
    vanished = [name for name in old.class_names if name not in new.class_names]
    appeared = [name for name in new.class_names if name not in old.class_names]
    findings = [
        Finding(
            "image shape",
            _shape(old.image_shape),
            _shape(new.image_shape),
            old.image_shape == new.image_shape,
        ),
        Finding(
            "classes",
            f"the champion's {len(old.class_names)}, in their order",
            _class_changes(vanished, appeared, moved=old.class_names != new.class_names),
            old.class_names == new.class_names,
        ),
    ]
    for role, before, after in (
        ("training", old.fitted_counts, new.fitted_counts),
        ("test", old.test_counts, new.test_counts),
    ):
        empty = [name for name, n in zip(new.class_names, after, strict=True) if n == 0]
        findings.append(
            Finding(
                f"{role} images of every class",
                "1 or more",
                f"none of {', '.join(empty)}" if empty else f"{min(after):,} or more",
                not empty,
            )
        )
        if old.class_names == new.class_names:
            findings.append(_shift(role, before, after, settings))
    return DriftReport(tuple(findings))


def chi_square(first: tuple[int, ...], second: tuple[int, ...]) -> ChiSquare:
    """Test whether two samples of labels have the same class shares.

    Pearson (1900); classes without an image in either sample are left out.
    """
    table = np.array([first, second], dtype=np.float64)
    table = table[:, table.sum(axis=0) > 0]
    total = float(table.sum())
    if table.shape[1] < 2 or not table.sum(axis=1).all():
        return ChiSquare(0.0, 0, 1.0, 0.0)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / total
    statistic = float(((table - expected) ** 2 / expected).sum())
    freedom = table.shape[1] - 1
    return ChiSquare(
        statistic,
        freedom,
        float(special.chdtrc(freedom, statistic)),
        min(1.0, math.sqrt(statistic / total)),
    )


def _shift(
    role: str, before: tuple[int, ...], after: tuple[int, ...], settings: DriftSettings
) -> Finding:
    test = chi_square(before, after)
    strong = test.cramers_v > settings.max_cramers_v and test.p_value < settings.significance
    return Finding(
        f"label shares of the {role} images",
        f"Cramer's V at most {settings.max_cramers_v:g}, or p at least {settings.significance:g}",
        f"V = {test.cramers_v:.3f}, p = {test.p_value:.2g} "
        f"(chi-square {test.statistic:.1f}, {test.freedom} degrees of freedom)",
        not strong,
    )


def _shape(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))


def _class_changes(vanished: list[str], appeared: list[str], *, moved: bool) -> str:
    parts = []
    if vanished:
        parts.append(f"gone: {', '.join(vanished)}")
    if appeared:
        parts.append(f"new: {', '.join(appeared)}")
    return "; ".join(parts) or ("the same in another order" if moved else "the same")
