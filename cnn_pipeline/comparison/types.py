"""The comparison as frozen records; `render.to_json` writes their fields as they are named here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.comparison.rounds import Rounds
from cnn_pipeline.comparison.statistics import Interval

Basis = Literal["models", "recipes", "mixed", "none"]
Outcome = Literal["held", "did not hold", "cannot say"]


@dataclass(frozen=True)
class Expected:
    """An expectation stated before the run: `metric` moves in `direction`."""

    metric: str
    """'test_accuracy', 'train_seconds', 'num_params' or 'macs'."""
    direction: str
    """'higher' or 'lower'."""
    against: str
    """Label of the variant to compare with."""


@dataclass(frozen=True)
class RunsInfo:
    """How runs that this project did not make are compared."""

    settings: tuple[str, ...]
    """What the runs are grouped by: each group is a variant."""
    metric: str
    """Stands as `test_accuracy` in the rows."""
    ranked_by: str
    """Stands as `validation_accuracy` in the rows, which is None if this is `metric` itself."""
    runs: int
    """Number of runs that are compared."""
    same_seeds: bool
    """Whether the groups share recorded seeds. If not, every run is independent of all others, and
    the seeds in the rows number the runs of a group."""


@dataclass(frozen=True)
class SweepInfo:
    """What the comparison needs to know about the sweep."""

    sweep_id: str
    name: str
    dataset: str
    """Name of the data set, as in 'fashion-mnist'."""
    num_test: int
    """Number of test images, the same for every trial; 0 if it is unknown, see `runs`."""
    description: str = ""
    baseline: str | None = None
    """Label of the variant whose levels are the reference of the effects."""
    expectations: dict[str, tuple[Expected, ...]] = field(default_factory=dict)
    """Expectations by label."""
    margin: float = 1.0
    """Percentage points of accuracy that matter: variants closer than this are equal for practical
    purposes."""
    metric: Metric = "accuracy"
    """What the variants are ranked by on validation and compared by on test. Fields and columns
    that are named after accuracies hold this."""
    runs: RunsInfo | None = None
    """Set if this is no sweep, but runs that this project did not make."""
    test_counts: tuple[int, ...] = ()
    """Test images of each class; empty if they are unknown."""
    warnings: tuple[str, ...] = ()
    """What the numbers of images per class make doubtful, one sentence each."""
    test_drawn: str = ""
    """'179 of 850 images, 20 % of each class, with seed 0': how the test images were drawn, where
    the data have none of their own."""


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

    None means unknown. Accuracies are shares from 0 to 1; they are the sweep's `metric`.
    """

    label: str
    rank: int | None
    """From 1, by validation accuracy; None if no seed can be compared."""
    status: str
    """FINISHED, PARTIAL (some seeds failed), FAILED or KILLED."""
    reason: str
    """What failed and why; empty if nothing did."""
    params: dict[str, str]
    """The variant's settings as text."""
    run_ids: tuple[str, ...]
    """Run ids of all seeds, ordered by seed."""
    seeds: tuple[int, ...]
    """Seeds that finished."""
    failed_seeds: tuple[int, ...]
    validation_accuracy: float | None = None
    """Mean over seeds. Variants are ranked by this; where they have different seeds, by what it
    would be if all had every seed."""
    validation_spread: float | None = None
    """Standard deviation over seeds; None for fewer than two."""
    test_accuracy: float | None = None
    test_spread: float | None = None
    test_interval: Interval | None = None
    """95 %, for this variant alone: of the recipe over new seeds and new images, with two or more
    seeds; of this network over new images (Wilson's), with one."""
    may_be_best: bool | None = None
    """Whether no other recipe is significantly more accurate on test: the best one is among these
    in at least 95 % of all sweeps (Hsu's set). None if nothing is claimed about recipes."""
    within_margin: bool | None = None
    """Whether the recipe equals the best one for practical purposes: it is less accurate by the
    sweep's `margin` at most, with 95 % for all variants at once. None as above."""
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
    """No other variant is at least as good in validation accuracy, parameters and MACs. Not the
    star of the leaderboard, which is `may_be_best`."""

    @property
    def verdict_low(self) -> float | None:
        """Lower end of `test_interval`."""
        return self.test_interval.low if self.test_interval else None

    @property
    def verdict_high(self) -> float | None:
        """Upper end of `test_interval`."""
        return self.test_interval.high if self.test_interval else None


@dataclass(frozen=True)
class Difference:
    """Test accuracy of `label` minus that of `against`, as a share, with its uncertainty."""

    label: str
    against: str
    basis: Basis
    """'models': these two networks, over new images. 'recipes': over new seeds and new images."""
    estimate: float | None = None
    interval: Interval | None = None
    """95 % for all comparisons of its group at once: it decides whether the difference is
    significant. None if nothing can be claimed."""
    right_alone: int | None = None
    """Images that only `label` gets right (basis 'models')."""
    wrong_alone: int | None = None
    """Images that only `against` gets right (basis 'models')."""
    seeds: tuple[int, ...] = ()
    """Seeds used of `label`."""
    seeds_only: bool = False
    """The interval allows for new seeds, but not for new images: predictions are missing."""
    reason: str = ""
    """Why nothing is claimed about recipes; empty if something is."""

    @property
    def significant(self) -> bool:
        """Whether the interval excludes zero."""
        return self.interval is not None and self.interval.excludes_zero


@dataclass(frozen=True)
class MatchedPair:
    """Two variants that differ in one field, and their difference in test accuracy."""

    label: str
    against: str
    difference: float | None


@dataclass(frozen=True)
class Effect:
    """The effect of changing one setting from `against` to `level`, over matched pairs."""

    axis: str
    level: str
    against: str
    basis: Basis
    pairs: tuple[MatchedPair, ...] = ()
    seeds: tuple[int, ...] = ()
    estimate: float | None = None
    """Mean difference in test accuracy, as a share."""
    interval: Interval | None = None
    """95 % for all effects of settings and their interactions at once; of a simple effect, for all
    simple effects at once. It decides whether the effect is significant."""
    validation: float | None = None
    """Mean difference in validation accuracy, as a share."""
    params_ratio: float | None = None
    macs_ratio: float | None = None
    seconds_ratio: float | None = None
    seeds_only: bool = False
    """The interval allows for new seeds, but not for new images: predictions are missing."""
    reason: str = ""
    """Why nothing is claimed about recipes; empty if something is."""
    where: dict[str, str] = field(default_factory=dict)
    """Of a simple effect: the other setting and its level at which it holds. Empty for a main
    effect, which is the mean over all matched pairs."""

    @property
    def significant(self) -> bool:
        """Whether the interval excludes zero."""
        return self.interval is not None and self.interval.excludes_zero

    @property
    def one_direction(self) -> bool:
        """Whether the differences of all pairs have the same sign."""
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
    """The leader against every other level."""
    simple: tuple[Effect, ...] = ()
    """The contrasts again, at each level of the settings that this one significantly interacts
    with: a main effect alone would mislead there. Empty without such an interaction."""


@dataclass(frozen=True)
class Interaction:
    """Whether the effect of one setting depends on the level of another.

    The effect of changing `axis` from `against` to `level`, at the level `other_level` of `other`,
    minus the same effect at `other_against`.
    """

    axis: str
    level: str
    against: str
    other: str
    other_level: str
    other_against: str
    basis: Basis
    estimate: float | None = None
    """Difference of the two effects on test accuracy, as a share."""
    interval: Interval | None = None
    """95 % for all effects of settings and their interactions at once."""
    seeds: tuple[int, ...] = ()
    seeds_only: bool = False
    """The interval allows for new seeds, but not for new images: predictions are missing."""
    reason: str = ""
    """Why nothing is claimed about recipes; empty if something is."""

    @property
    def significant(self) -> bool:
        """Whether the interval excludes zero."""
        return self.interval is not None and self.interval.excludes_zero


@dataclass(frozen=True)
class ExpectationCheck:
    """An expectation and what was measured."""

    label: str
    expected: Expected
    outcome: Outcome
    measured: str
    """The difference or ratio in words, with its interval if there is one."""
    reason: str = ""
    """Why the outcome is 'cannot say'."""
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
    """Basis of the comparisons with the chosen variant."""
    chosen: str | None = None
    """The variant that is best on validation."""
    better_than: tuple[str, ...] = ()
    """Significantly less accurate on test than the chosen variant."""
    worse_than: tuple[str, ...] = ()
    """Significantly more accurate on test than the chosen variant."""
    indistinguishable: tuple[str, ...] = ()
    """Tested, without a significant difference."""
    untested: tuple[str, ...] = ()
    """No test was possible."""
    cheapest: str | None = None
    """Fewest MACs among `chosen` and `indistinguishable`."""


@dataclass(frozen=True)
class Progress:
    """How far a running sweep is."""

    total: int
    """Number of trials of the sweep; with seeds 'auto' of the rounds that have begun."""
    remaining: tuple[str, ...]
    """Names of the trials that have not ended."""
    round: int = 0
    """With seeds 'auto', the round that runs, from 1; else 0."""

    @property
    def ended(self) -> int:
        """Number of trials that have ended."""
        return self.total - len(self.remaining)


@dataclass(frozen=True)
class Comparison:
    """A sweep, compared: whole, or as far as it is."""

    sweep: SweepInfo
    num_validation: int
    rows: tuple[Row, ...]
    """Ranked variants first, then those that cannot be ranked."""
    pairwise: tuple[Difference, ...]
    """The chosen variant against every other ranked variant, in the order of `rows`."""
    axes: tuple[AxisEffects, ...]
    expectations: tuple[ExpectationCheck, ...]
    verdict: Verdict
    faults: tuple[TrialFault, ...] = ()
    notes: tuple[str, ...] = ()
    """What was missing or inconsistent in the results."""
    warnings: tuple[str, ...] = ()
    """What makes the answer doubtful, before any statistics: those of the sweep's data, and a
    choice that is no better than always saying the largest class."""
    rounds: Rounds | None = None
    """How the rounds ended; None for a list of seeds and for a single variant."""
    progress: Progress | None = None
    """Set while the sweep is running: `rows` has ended trials only, and nothing is tested."""
    interactions: tuple[Interaction, ...] = ()
    """Of every two settings that vary, where there are the four variants that it takes."""
    smallest_difference: float | None = None
    """Percentage points: the difference between two variants from which on it is significant with
    this many seeds. None if nothing is claimed about recipes."""
    seeds_needed: int | None = None
    """Seeds of every variant in all, with which a difference of `margin` is expected to be
    significant. None if that is unknown, or if no number is enough for this many test images."""
    unequal_spread: str | None = None
    """Set if a variant's accuracy varies more over the seeds than that of the others, so that its
    own variance is used: which one."""

    @property
    def margin(self) -> float:
        """Percentage points of accuracy that matter."""
        return self.sweep.margin

    @property
    def ranked(self) -> tuple[Row, ...]:
        """Rows that have a rank, best first."""
        return tuple(row for row in self.rows if row.rank is not None)

    def __str__(self) -> str:
        """What `cnn-pipeline compare --details` prints."""
        from cnn_pipeline.comparison.render import to_text

        return to_text(self, details=True)
