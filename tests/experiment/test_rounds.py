"""The rounds of a sweep: which trials run, what is told, and how Ctrl-C ends them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cnn_pipeline.base import events, metric_names
from cnn_pipeline.base.events import Event, RoundEnded, RoundStarted
from cnn_pipeline.base.home import Home
from cnn_pipeline.comparison.rounds import Rounds
from cnn_pipeline.experiment.data_card import prepare_data
from cnn_pipeline.experiment.decide import Decision, decide
from cnn_pipeline.experiment.rounds import needed_trials, rounds_of
from cnn_pipeline.experiment.run_rounds import run_rounds
from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.settings.trial import Trial
from cnn_pipeline.trainers.pool import Crew
from tests.running import QUICK, SAMPLE

THREE = Sweep(name="three", axes=Axes(filters=(2, 4, 8)), max_rounds=5, training=QUICK, data=SAMPLE)
A, B, C = "f2-max", "f4-max", "f8-max"
# Per cent, by variant and seed: C trails from the beginning, A and B are close.
CLOSE = {A: (70, 72, 71, 73, 70), B: (70.5, 71.5, 72, 72, 71), C: (40, 42, 41, 99, 99)}
EQUAL = {A: (70, 72, 71.0), B: (70, 72, 71.0), C: (70, 72, 71.2)}


@pytest.fixture(scope="module")
def sweep_run(tmp_path_factory: pytest.TempPathFactory) -> SweepRun:
    folder = tmp_path_factory.mktemp("rounds")
    card = prepare_data(SAMPLE, folder)
    return run_of(decide(THREE, card, Home(folder / "home"), Crew(1, 1), force=True), folder)


def run_of(decision: Decision, folder: Path) -> SweepRun:
    return SweepRun(decision, "three-1", "1", "run", "sqlite://", None, folder, tags={})


def ended(trial: Trial, accuracy: float | None) -> TrialResult:
    metrics = {} if accuracy is None else {metric_names.VAL_ACCURACY_FINAL: accuracy / 100}
    status = "FAILED" if accuracy is None else "FINISHED"
    return TrialResult(trial.name, trial.label, trial.seed, "run", status, metrics=metrics)


class Scripted:
    """Ends each trial with the accuracy that is written for it, and remembers what ran."""

    def __init__(
        self,
        accuracies: Mapping[str, Sequence[float | None]],
        before: Callable[[Trial], None] = lambda trial: None,
    ) -> None:
        self.ran: list[list[str]] = []
        self.accuracies, self.before = accuracies, before

    def __call__(self, run: SweepRun, trials: Sequence[Trial]) -> Generator[TrialResult]:
        self.ran.append([trial.name for trial in trials])
        for trial in trials:
            self.before(trial)
            yield ended(trial, self.accuracies[trial.label][trial.seed])


def copied(run: SweepRun, trial: Trial) -> TrialResult:
    return run.decision.reusable[trial.name]


def heard(sweep_run: SweepRun, script: Scripted, *, conclude: bool = True) -> list[Event]:
    found: list[Event] = []
    with events.listening(found.append):
        run_rounds(sweep_run, copied, script, conclude=conclude)
    return found


def test_rounds_follow_until_it_is_decided(sweep_run: SweepRun) -> None:
    script = Scripted(CLOSE)
    told = heard(sweep_run, script)
    assert [sorted(names) for names in script.ran] == [
        [f"{A}-s0", f"{A}-s1", f"{B}-s0", f"{B}-s1", f"{C}-s0", f"{C}-s1"],
        [f"{A}-s2", f"{B}-s2"],
        [f"{A}-s3", f"{B}-s3"],
        [f"{A}-s4", f"{B}-s4"],
    ]
    rounds = [event for event in told if isinstance(event, RoundEnded)]
    assert [event.round for event in rounds] == [1, 2, 3, 4, 5]
    assert list(rounds[1].dropped) == [C]
    assert [event.over for event in rounds] == [False, False, False, False, True]
    started = [event for event in told if isinstance(event, RoundStarted)]
    assert [event.round for event in started] == [3, 4, 5]
    assert set(started[0].trials) == started[0].estimates.keys() == {f"{A}-s2", f"{B}-s2"}


def test_it_stops_as_soon_as_no_other_is_better_by_the_margin(sweep_run: SweepRun) -> None:
    script = Scripted(EQUAL)
    told = heard(sweep_run, script)
    assert len(script.ran) == 1 and len(script.ran[0]) == 6
    last = told[-1]
    assert isinstance(last, RoundEnded) and last.over and last.round == 2
    assert "within 1 point of the best" in last.answer


def test_the_first_round_is_told_while_the_second_runs(sweep_run: SweepRun) -> None:
    at: list[int] = []
    found: list[Event] = []

    def before(trial: Trial) -> None:
        if trial.seed == 1:
            at.append(sum(isinstance(event, RoundEnded) for event in found))

    with events.listening(found.append):
        run_rounds(sweep_run, copied, Scripted(EQUAL, before), conclude=True)
    assert at == [1, 1, 1]


def interrupted_at(seed: int) -> Callable[[Trial], None]:
    def before(trial: Trial) -> None:
        if trial.seed == seed:
            raise KeyboardInterrupt

    return before


def test_ctrl_c_concludes_once_a_round_is_complete(sweep_run: SweepRun) -> None:
    told = heard(sweep_run, Scripted(CLOSE, interrupted_at(3)))
    assert [event.round for event in told if isinstance(event, RoundEnded)] == [1, 2, 3]
    assert told[-1] == events.Stage("concluding with what is there; Ctrl-C again stops")


def test_ctrl_c_concludes_while_the_first_round_is_told(sweep_run: SweepRun) -> None:
    def interrupt(event: Event) -> None:
        if isinstance(event, RoundEnded):
            raise KeyboardInterrupt

    with events.listening(interrupt):
        assert heard(sweep_run, Scripted(CLOSE))[-1] == events.Stage(
            "concluding with what is there; Ctrl-C again stops"
        )


def test_ctrl_c_concludes_if_the_first_round_has_ended_unseen(
    sweep_run: SweepRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trials of a round end in threads; Ctrl-C may come before their results are yielded."""
    first = [ended(trial, 70) for trial in THREE.trials([0])]
    monkeypatch.setattr("cnn_pipeline.experiment.run_rounds._stored", lambda run: first)
    told = heard(sweep_run, Scripted(CLOSE, interrupted_at(0)))
    assert told[-1] == events.Stage("concluding with what is there; Ctrl-C again stops")


def test_the_rule_is_applied_once_a_round(
    sweep_run: SweepRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied: list[int] = []

    def counted(sweep: Sweep, results: Iterable[TrialResult], count: int) -> Rounds | None:
        known = list(results)
        applied.append(len(known))
        return rounds_of(sweep, known, count)

    monkeypatch.setattr("cnn_pipeline.experiment.run_rounds.rounds_of", counted)
    heard(sweep_run, Scripted(CLOSE))
    assert applied == [0, 3, 6, 8, 10, 12]


def test_what_can_be_reused_comes_first_and_is_not_trained(sweep_run: SweepRun) -> None:
    stored = {f"{C}-s0": ended(THREE.trials([0])[2], 70)}
    decision = replace(sweep_run.decision, reusable=stored)
    script = Scripted(EQUAL)
    heard(replace(sweep_run, decision=decision), script)
    assert len(script.ran[0]) == 5 and f"{C}-s0" not in script.ran[0]


@pytest.mark.parametrize(("seed", "conclude"), [(0, True), (3, False)])
def test_ctrl_c_stops_before_that_and_where_nothing_is_concluded(
    seed: int, conclude: bool, sweep_run: SweepRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = [ended(trial, 70) for trial in THREE.trials([0])[:2]]
    monkeypatch.setattr("cnn_pipeline.experiment.run_rounds._stored", lambda run: two)
    with pytest.raises(KeyboardInterrupt):
        heard(sweep_run, Scripted(CLOSE, interrupted_at(seed)), conclude=conclude)


def test_a_listed_seed_is_no_round(tmp_path: Path) -> None:
    listed = Sweep.model_validate(
        {**THREE.model_dump(exclude={"decide", "max_rounds"}), "seeds": (0, 1)}
    )
    card = prepare_data(SAMPLE, tmp_path)
    run = run_of(decide(listed, card, Home(tmp_path / "home"), Crew(1, 1), force=True), tmp_path)
    script = Scripted(EQUAL, interrupted_at(1))
    with pytest.raises(KeyboardInterrupt):
        heard(run, script)
    assert len(script.ran[0]) == 6


def test_what_a_stored_sweep_lacks_follows_from_its_trials() -> None:
    results = [ended(trial, CLOSE[trial.label][trial.seed]) for trial in THREE.trials([0, 1])]
    first = rounds_of(THREE, results[:4], 5000)
    assert first is not None and (first.status, first.rounds) == ("open", 1)
    assert needed_trials(THREE, first) == THREE.trials([0, 1])
    second = rounds_of(THREE, results, 5000)
    assert second is not None and (second.status, second.rounds) == ("open", 2)
    assert [trial.name for trial in needed_trials(THREE, second)[6:]] == [f"{A}-s2", f"{B}-s2"]
    equal = [ended(trial, EQUAL[trial.label][trial.seed]) for trial in THREE.trials([0, 1])]
    decided = rounds_of(THREE, equal, 5000)
    assert decided is not None and decided.status == "decided"
    assert needed_trials(THREE, decided) == THREE.trials([0, 1])
    assert rounds_of(THREE.model_copy(update={"seeds": (0,)}), equal, 5000) is None
