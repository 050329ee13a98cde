"""Compare two sweeps: what was changed, and which answers changed with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.comparison.estimate import Quantile
from cnn_pipeline.comparison.evidence import Claim, Evidence, family
from cnn_pipeline.comparison.image_weights import ImageWeights, image_weights
from cnn_pipeline.comparison.pairs import compare_pair
from cnn_pipeline.comparison.setting_names import axis_title
from cnn_pipeline.comparison.setting_sentences import setting_answer
from cnn_pipeline.comparison.two_sweeps_types import (
    AnswerChange,
    Changed,
    PairChange,
    Side,
    TwoSweeps,
    VariantChange,
    Verdict,
)
from cnn_pipeline.comparison.types import AxisEffects, Comparison, Difference, Effect
from cnn_pipeline.comparison.variants import VariantTrials, gather
from cnn_pipeline.network.image_scores import Scores
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Variant


@dataclass(frozen=True, eq=False)
class StoredSweep:
    """A sweep that has ended, with all that the comparison of two needs."""

    comparison: Comparison
    settings: Sweep
    results: Sequence[TrialResult]
    correct: Mapping[str, Scores]
    """By trial name, bool `[num_test]`: which test images the network gets right; of another metric
    than accuracy its scores."""
    data: Mapping[str, str]
    """Facts about the data by name; 'digest' identifies all images before the split."""
    code: Mapping[str, str]
    """Facts about code, libraries and machine by name."""
    classes: NDArray[np.integer[Any]] | None = None
    """True class of each test image, integers `[num_test]`."""

    @property
    def weights(self) -> ImageWeights | None:
        """How much the test images weigh in its metric."""
        sweep = self.comparison.sweep
        return image_weights(sweep.metric, self.classes, sweep.num_test)

    @property
    def variants(self) -> dict[str, VariantTrials]:
        """The variants with a scored trial, by label."""
        sweep = self.comparison.sweep
        found, _ = gather(self.results, self.correct, sweep.num_test, metric=sweep.metric)
        return {variant.label: variant for variant in found if variant.trials}


def compare_two(first: StoredSweep, second: StoredSweep) -> TwoSweeps:
    """What differs between two sweeps, and which answers."""
    both = _Both(first, second)
    return TwoSweeps(
        first=_side(first),
        second=_side(second),
        settings=_changed(_settings(first.settings), _settings(second.settings)),
        data=_changed(first.data, second.data),
        code=_changed(first.code, second.code),
        only_first=tuple(label for label in both.ours if label not in both.theirs),
        only_second=tuple(label for label in both.theirs if label not in both.ours),
        same_test_images=both.same_images,
        variants=_variant_changes(both),
        answers=_answers(first.comparison.axes, second.comparison.axes),
        num_pairs=comb(len(both.common), 2),
        pairs=_pair_changes(both),
    )


class _Both:
    """The variants of two sweeps, and what can be claimed about both together."""

    def __init__(self, first: StoredSweep, second: StoredSweep) -> None:
        self.ours, self.theirs = first.variants, second.variants
        ranking = [row.label for row in second.comparison.ranked]
        self.common = [label for label in ranking if label in self.ours and label in self.theirs]
        self.same_images = _same_test_images(first, second)
        self.weights = first.weights, second.weights
        self.reused = {label for label in self.common if self._is_reused(label)}

    def before(self, label: str) -> str:
        """Key in `evidence` of a variant in the first sweep."""
        return f"A {label}"

    def after(self, label: str) -> str:
        """Key of a variant in the second sweep; the first one's if its networks are reused."""
        return self.before(label) if label in self.reused else f"B {label}"

    @cached_property
    def evidence(self) -> Evidence:
        """The common variants of both sweeps, as recipes that share their seeds.

        A seed fixes the order of the images and the first weights, so equal seeds are alike.
        """
        ours = {self.before(label): self.ours[label] for label in self.common}
        return Evidence(
            {**{self.after(label): self.theirs[label] for label in self.common}, **ours},
            weights=self.weights[0],
        )

    def change(self, variant: str, against: str) -> Claim:
        """By how much the lead of one variant over another changes, from first to second.

        Two results of which one is significant need not differ: this says whether they do.
        """
        weights: dict[str, float] = {}
        for key, weight in (
            (self.after(variant), 1),
            (self.after(against), -1),
            (self.before(variant), -1),
            (self.before(against), 1),
        ):
            weights[key] = weights.get(key, 0) + weight
        left = {key: weight for key, weight in weights.items() if weight}
        if not self.same_images or not left:
            return Claim("none")
        return self.evidence.claim(left, family(1))

    def _is_reused(self, label: str) -> bool:
        """Whether the seeds of both sweeps have the same trained networks."""
        before, after = (
            {trial.seed: trial.result.reused_from or trial.result.run_id for trial in one.trials}
            for one in (self.ours[label], self.theirs[label])
        )
        common = before.keys() & after.keys()
        return bool(common) and all(before[seed] == after[seed] for seed in common)


def _same_test_images(first: StoredSweep, second: StoredSweep) -> bool:
    """Whether their numbers are the same metric of the same images."""
    if first.comparison.sweep.metric != second.comparison.sweep.metric:
        return False
    digests = first.data.get("digest"), second.data.get("digest")
    sizes = first.comparison.sweep.num_test, second.comparison.sweep.num_test
    return None not in digests and digests[0] == digests[1] and sizes[0] == sizes[1]


def _side(one: StoredSweep) -> Side:
    sweep, verdict = one.comparison.sweep, one.comparison.verdict
    return Side(
        sweep_id=sweep.sweep_id,
        name=sweep.name,
        data=sweep.dataset,
        verdict=verdict.headline,
        chosen=verdict.chosen,
        metric=sweep.metric,
    )


def _settings(sweep: Sweep) -> dict[str, str]:
    """Every value that a setting takes in the sweep, in order: {'filters': '16, 32'}."""
    levels: dict[str, dict[str, None]] = {}
    for trial in sweep.trials():
        for name, value in {**trial.variant.in_use, **trial.training.model_dump()}.items():
            levels.setdefault(name.replace("_", " "), {})[spell(value)] = None
    facts = {name: ", ".join(values) for name, values in levels.items()}
    return {
        **facts,
        "metric": sweep.measure,
        "seeds": sweep.seeds_text,
        "baseline": sweep.baseline_label,
    }


def _changed(first: Mapping[str, str], second: Mapping[str, str]) -> tuple[Changed, ...]:
    return tuple(
        Changed(what=name, first=first.get(name, ""), second=second.get(name, ""))
        for name in dict.fromkeys([*first, *second])
        if first.get(name, "") != second.get(name, "")
    )


def _variant_changes(both: _Both) -> tuple[VariantChange, ...]:
    tested = family(len(both.common) - len(both.reused))
    return tuple(_variant_change(both, label, tested) for label in both.common)


def _variant_change(both: _Both, label: str, tested: Quantile) -> VariantChange:
    before, after = both.ours[label], both.theirs[label]
    difference = networks = None
    if both.same_images and label not in both.reused:
        keys = both.after(label), both.before(label)
        found = compare_pair(both.evidence, *keys, tested)
        difference = None if found.basis == "none" else found
        networks = both.evidence.networks({keys[0]: 1, keys[1]: -1}, tested).interval
    return VariantChange(
        variant=label,
        network=_changed(_network(before), _network(after)),
        same_models=label in both.reused,
        first=before.test,
        second=after.test,
        difference=difference,
        networks=networks,
    )


def _network(variant: VariantTrials) -> dict[str, str]:
    return {
        name.replace("_", " "): level
        for name, level in variant.fields.items()
        if name in Variant.model_fields
    }


def _answers(
    first: Sequence[AxisEffects], second: Sequence[AxisEffects]
) -> tuple[AnswerChange, ...]:
    ours, theirs = ({axis.axis: axis for axis in axes} for axes in (first, second))
    return tuple(
        AnswerChange(
            setting=name,
            first=_answer(name, ours.get(name)),
            second=_answer(name, theirs.get(name)),
        )
        for name in dict.fromkeys([*ours, *theirs])
        if _conclusions(ours.get(name)) != _conclusions(theirs.get(name))
    )


def _answer(name: str, axis: AxisEffects | None) -> str:
    if axis is not None:
        return setting_answer(axis)
    return f"{axis_title(name)}: only one level, so there is nothing to compare."


def _conclusions(axis: AxisEffects | None) -> object:
    """What is concluded about each level against the leader; None if nothing is."""
    if axis is None:
        return None
    simple = {(*e.where.items(), e.against): _says(e) for e in axis.simple}
    return axis.leader, {effect.against: _says(effect) for effect in axis.contrasts}, simple


def _pair_changes(both: _Both) -> tuple[PairChange, ...]:
    ours = Evidence(both.ours, weights=both.weights[0])
    theirs = Evidence(both.theirs, weights=both.weights[1])
    found = []
    for variant, against in combinations(both.common, 2):
        first = compare_pair(ours, variant, against)
        second = compare_pair(theirs, variant, against)
        if _says(first) == _says(second):
            continue
        change = both.change(variant, against)
        found.append(
            PairChange(
                variant=variant,
                against=against,
                first_says=_says(first),
                second_says=_says(second),
                first=first,
                second=second,
                change=change.estimate,
                change_interval=change.interval,
            )
        )
    return tuple(found)


def _says(found: Difference | Effect) -> Verdict:
    if found.interval is None:
        return "not tested"
    if not found.significant:
        return "not significant"
    return "more accurate" if (found.estimate or 0) > 0 else "less accurate"
