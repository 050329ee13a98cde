"""The comparison as frozen records; `render.to_json` writes their fields as they are named here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cnn_pipeline.comparison.statistics import SIGNIFICANCE, Interval

Basis = Literal["models", "recipes", "mixed", "none"]
Outcome = Literal["held", "did not hold", "cannot say"]


@dataclass(frozen=True)
class Expected:
    """What was expected of a variant before the run: `metric` moves in `direction`."""

    metric: str
    """'test_accuracy', 'train_seconds', 'num_params' or 'macs'."""
    direction: str
    """'higher' or 'lower'."""
    against: str
    """Label of the variant it is compared with."""


@dataclass(frozen=True)
class SweepInfo:
    """What the comparison must know about the sweep."""

    sweep_id: str
    name: str
    dataset: str
    """Name of the data set, as in 'fashion-mnist'."""
    num_test: int
    """Number of test images, the same for every trial."""
    description: str = ""
    baseline: str | None = None
    """Label whose levels the main effects are measured against, where it finished."""
    expectations: dict[str, tuple[Expected, ...]] = field(default_factory=dict)
    """Expectations by label."""


@dataclass(frozen=True)
class TrialFault:
    """A trial that cannot be compared, and why."""

    name: str
    label: str
    seed: int
    status: str
    reason: str


@dataclass(frozen=True)
class Row:
    """One variant of the leaderboard; numbers are means over its finished seeds.

    None means unknown. Accuracies are shares from 0 to 1.
    """

    label: str
    rank: int | None
    """From 1, by validation accuracy; None where no seed can be compared."""
    status: str
    """FINISHED, PARTIAL (some seeds failed), FAILED or KILLED."""
    reason: str
    """What failed, and why; empty where nothing did."""
    params: dict[str, str]
    """The variant's settings as text."""
    run_ids: tuple[str, ...]
    """Runs of all its seeds, by seed."""
    seeds: tuple[int, ...]
    """Seeds that finished."""
    failed_seeds: tuple[int, ...]
    validation_accuracy: float | None = None
    """The number that variants are chosen by."""
    validation_spread: float | None = None
    """Standard deviation over seeds; None for fewer than two."""
    test_accuracy: float | None = None
    test_spread: float | None = None
    test_interval: Interval | None = None
    """95 %: over test images for one seed (Wilson), over seeds for several (t)."""
    num_params: float | None = None
    macs: float | None = None
    """Multiply-accumulate operations of one image's forward pass."""
    train_seconds: float | None = None
    images_per_second: float | None = None
    latency_ms: float | None = None
    """Milliseconds per image at batch 1."""
    latency_ms_batch_256: float | None = None
    """Milliseconds per image at batch 256."""
    model_bytes: float | None = None
    efficient: bool | None = None
    """No other variant is as accurate on validation and as cheap, and better in one of them."""


@dataclass(frozen=True)
class Difference:
    """Test accuracy of `label` minus that of `against`, as a share, with its uncertainty."""

    label: str
    against: str
    basis: Basis
    """'models': these two networks, on the same images. 'recipes': mean over seeds."""
    estimate: float | None = None
    interval: Interval | None = None
    """95 % for this comparison alone."""
    p_value: float | None = None
    p_corrected: float | None = None
    """After Holm's correction over the comparisons of its table."""
    wins: int | None = None
    """Images that only `label` gets right (basis 'models')."""
    losses: int | None = None
    """Images that only `against` gets right (basis 'models')."""
    seeds: tuple[int, ...] = ()
    """Seeds used of `label`."""
    reason: str = ""
    """Why there is no test, where there is none."""

    @property
    def sure(self) -> bool:
        """Whether a difference is shown, after the correction."""
        return _shown(self.estimate, self.p_corrected)


@dataclass(frozen=True)
class MatchedPair:
    """Two variants that differ in one field only, and their difference in test accuracy."""

    label: str
    against: str
    difference: float | None


@dataclass(frozen=True)
class Effect:
    """What changing one field from `against` to `level` does, over matched pairs of variants."""

    axis: str
    level: str
    against: str
    basis: Basis
    pairs: tuple[MatchedPair, ...] = ()
    seeds: tuple[int, ...] = ()
    estimate: float | None = None
    """Mean difference in test accuracy, as a share."""
    interval: Interval | None = None
    p_value: float | None = None
    p_corrected: float | None = None
    """After Holm's correction; only where the effect is one of `AxisEffects.contrasts`."""
    validation: float | None = None
    """Mean difference in validation accuracy, as a share."""
    params_ratio: float | None = None
    macs_ratio: float | None = None
    seconds_ratio: float | None = None
    reason: str = ""
    """Why the effect is not estimable, where it is not."""

    @property
    def sure(self) -> bool:
        """Whether an effect is shown, after the correction."""
        return _shown(self.estimate, self.p_corrected)

    @property
    def one_direction(self) -> bool:
        """Whether no two pairs contradict each other in sign."""
        signs = {(pair.difference or 0) > 0 for pair in self.pairs if pair.difference}
        return len(signs) < 2


@dataclass(frozen=True)
class AxisEffects:
    """A field that varies, its levels, and their effects."""

    axis: str
    reference: str
    """Level of the baseline, else the first."""
    levels: tuple[str, ...]
    effects: tuple[Effect, ...]
    """Every other level against the reference."""
    leader: str | None = None
    """Level with the best validation accuracy over matched pairs."""
    contrasts: tuple[Effect, ...] = ()
    """The leader against every other level, with corrected p-values."""


@dataclass(frozen=True)
class ExpectationCheck:
    """An expectation and what was measured."""

    label: str
    expected: Expected
    outcome: Outcome
    measured: str
    """The difference or ratio in words, with its interval where there is one."""
    reason: str = ""
    """Why the outcome cannot be told, where it cannot."""
    difference: Difference | None = None
    """For test accuracy."""
    ratio: float | None = None
    """For costs: label / against."""


@dataclass(frozen=True)
class Verdict:
    """What the sweep shows, in sentences and as fields."""

    headline: str
    sentences: tuple[str, ...]
    basis: Basis
    """What the comparisons with the choice rest on."""
    chosen: str | None = None
    """Best on validation."""
    better_than: tuple[str, ...] = ()
    """Surely less accurate on test than the choice."""
    worse_than: tuple[str, ...] = ()
    """Surely more accurate on test than the choice."""
    indistinguishable: tuple[str, ...] = ()
    """Tested, and no difference shown."""
    untested: tuple[str, ...] = ()
    """No test was possible."""
    cheapest: str | None = None
    """Fewest MACs among the choice and what cannot be told apart from it."""

    @property
    def winner(self) -> str | None:
        """The choice, where it is surely better than every other variant; else None."""
        clear = self.better_than and not (
            self.worse_than or self.indistinguishable or self.untested
        )
        return self.chosen if clear else None


@dataclass(frozen=True)
class Comparison:
    """A whole sweep, compared."""

    sweep: SweepInfo
    num_validation: int
    rows: tuple[Row, ...]
    """Ranked variants first, then those that cannot be ranked."""
    pairwise: tuple[Difference, ...]
    """The choice against every other ranked variant, in the order of `rows`."""
    axes: tuple[AxisEffects, ...]
    expectations: tuple[ExpectationCheck, ...]
    verdict: Verdict
    faults: tuple[TrialFault, ...] = ()
    notes: tuple[str, ...] = ()
    """What was missing or odd in the results, never passed over in silence."""

    @property
    def ranked(self) -> tuple[Row, ...]:
        """Rows that have a rank, best first."""
        return tuple(row for row in self.rows if row.rank is not None)


def _shown(estimate: float | None, p_corrected: float | None) -> bool:
    return bool(estimate) and p_corrected is not None and p_corrected < SIGNIFICANCE
