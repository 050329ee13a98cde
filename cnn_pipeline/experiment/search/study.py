"""Choose what to try next, with Optuna. Equal scores in equal order give equal choices.

So a search that was stopped needs no store of its own: asked again, it chooses the same variants,
and those that were trained are found by their content.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.experiment.search.space import Axis, Range, Search

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution

ETA = 3
"""Of the variants that Hyperband prunes among, a third goes on, with three times the epochs."""
_GOOD_TRIALS = 5
"""PED-ANOVA asks what the best trainings have in common, and wants at least so many of them."""
_TRIES = 1000
"""Choices in a row that may not fit, before the search gives up."""

Fits = Callable[[Mapping[str, Any]], bool]
Scores = Sequence[float | None]
"""Of candidates, in their order; None where the training failed."""


@dataclass(frozen=True)
class Candidate:
    """What to train next."""

    values: Mapping[str, Any]
    """By name of the setting."""
    epochs: int
    whole: bool = True
    """Whether that is all epochs, so that its score counts."""
    first: bool = True
    """Whether these values were chosen just now."""


Candidates = Generator[list[Candidate], Scores, dict[str, float]]
"""Yields what to train at once, is sent the scores, and returns how important each setting is."""


def candidates(search: Search, *, epochs: int, at_once: int, fits: Fits) -> Candidates:
    """The candidates of a search.

    Args:
        search: the settings and how to search them.
        epochs: of a whole training.
        at_once: how many are chosen before their scores are known: a trainer's worth each.
        fits: whether values can be trained together.

    Raises:
        InvalidInput: hardly any combination fits.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    random = search.kind == "random"
    sampler = (
        optuna.samplers.RandomSampler(seed=search.seed)
        if random
        # The lie keeps candidates that are chosen together apart.
        else optuna.samplers.TPESampler(seed=search.seed, constant_liar=True)
    )
    study = optuna.create_study(direction="maximize", sampler=sampler)
    asking = _Asking(study, search, fits)
    if search.kind == "hyperband":
        yield from _halving(asking, search.trials, epochs)
    else:
        yield from _one_by_one(asking, search.trials, epochs, at_once)
    return _importance(study)


def _one_by_one(
    asking: _Asking, left: int, epochs: int, at_once: int
) -> Generator[list[Candidate], Scores]:
    while left:
        asked = [asking.next() for _ in range(min(at_once, left))]
        scores = yield [Candidate(values, epochs) for _, values in asked]
        for (trial, _), score in zip(asked, scores, strict=True):
            asking.tell(trial, score)
        left -= len(asked)


def _halving(asking: _Asking, left: int, epochs: int) -> Generator[list[Candidate], Scores]:
    """Hyperband (Li et al. 2018): many variants for few epochs, the best third for more."""
    from optuna.trial import TrialState

    brackets = _brackets(epochs)
    while left:
        size, budgets = next(brackets)
        inside = [asking.next() for _ in range(min(size, left))]
        left -= len(inside)
        for budget in budgets[:-1]:
            first = budget == budgets[0]
            scores = yield [Candidate(one, budget, whole=False, first=first) for _, one in inside]
            scored = list(zip(inside, scores, strict=True))
            for (trial, _), score in scored:
                if score is None:
                    asking.tell(trial, None)
                else:
                    trial.report(score, budget)
            alive = sorted(
                ((score, one) for one, score in scored if score is not None),
                key=lambda pair: -pair[0],
            )
            kept = max(1, len(inside) // ETA)
            for _, (trial, _) in alive[kept:]:
                asking.study.tell(trial, state=TrialState.PRUNED)
            inside = [one for _, one in alive[:kept]]
            if not inside:
                break
        if not inside:
            continue
        first = len(budgets) == 1
        scores = yield [Candidate(values, epochs, first=first) for _, values in inside]
        for (trial, _), score in zip(inside, scores, strict=True):
            asking.tell(trial, score)


def _brackets(epochs: int) -> Iterator[tuple[int, list[int]]]:
    """Without end: how many variants begin, and the epochs after which the best third goes on."""
    deepest = 0
    while ETA ** (deepest + 1) <= epochs:
        deepest += 1
    while True:
        for halvings in range(deepest, -1, -1):
            size = -(-(deepest + 1) * ETA**halvings // (halvings + 1))
            yield size, [max(1, epochs // ETA**left) for left in range(halvings, -1, -1)]


class _Asking:
    """Asks the study for values that fit."""

    def __init__(self, study: Study, search: Search, fits: Fits) -> None:
        self.study = study
        self._search = search
        self._fits = fits
        self._distributions = {name: _distribution(axis) for name, axis in search.axes.items()}

    def next(self) -> tuple[Trial, dict[str, Any]]:
        for _ in range(_TRIES):
            trial = self.study.ask(self._distributions)
            values = {
                name: _value(axis, trial.params[name]) for name, axis in self._search.axes.items()
            }
            if self._fits(values):
                return trial, values
            self.tell(trial, None)
        raise InvalidInput(
            [
                f"the settings to search must fit together and the data: {_TRIES:,} combinations "
                "in a row did not. Narrow the ranges."
            ]
        )

    def tell(self, trial: Trial, score: float | None) -> None:
        from optuna.trial import TrialState

        if score is None:
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, score)


def _distribution(axis: Axis) -> BaseDistribution:
    from optuna import distributions

    if not isinstance(axis, Range):
        return distributions.CategoricalDistribution(tuple(range(len(axis))))
    if axis.whole:
        return distributions.IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return distributions.FloatDistribution(axis.low, axis.high, log=axis.log)


def _value(axis: Axis, chosen: Any) -> Any:
    return axis.rounded(chosen) if isinstance(axis, Range) else axis[chosen]


def _importance(study: Study) -> dict[str, float]:
    """Share of each setting in what sets the best whole trainings apart from the others.

    PED-ANOVA (Watanabe et al. 2023). Empty where there are too few, or all are equal.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
    from optuna.trial import TrialState

    whole = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(whole) < 2 * _GOOD_TRIALS or len({trial.value for trial in whole}) < 2:
        return {}
    best = PedAnovaImportanceEvaluator(target_quantile=max(0.1, _GOOD_TRIALS / len(whole)))
    found = get_param_importances(study, evaluator=best)
    return {name: float(share) for name, share in found.items()}
