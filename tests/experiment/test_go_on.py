"""Sweeps that were stopped and go on, and trials that two sweeps share; nothing is trained."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mlflow.entities import Param, Run
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import events, metric_names
from cnn_pipeline.base.errors import Stopped
from cnn_pipeline.base.events import Event, SweepContinued, TrialAwaited, TrialEnded, TrialReused
from cnn_pipeline.base.holding import try_hold
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.run import run_sweep
from cnn_pipeline.experiment.trials import CLAIMS
from cnn_pipeline.settings.resuming import Resuming
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.live import LiveReader
from cnn_pipeline.tracking.overview import list_sweeps
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import Store, open_store
from cnn_pipeline.tracking.writer import Tracker
from cnn_pipeline.trainers.messages import Job, Reply
from tests.experiment.scripted_store import predictions
from tests.running import QUICK, SAMPLE

LISTED = Sweep(name="listed", axes=Axes(filters=(4, 2)), seeds=(0, 1), training=QUICK, data=SAMPLE)
FIRST, SECOND, THIRD, LAST = (trial.name for trial in LISTED.trials())
NUM_TEST = 1000


class Scripted:
    """Stands where a pool of trainers does, and writes a run as a trainer does."""

    before: Callable[[str], None] = staticmethod(lambda name: None)
    """Called with the trial's name once its curve has begun."""
    trained: list[str] = []  # noqa: RUF012 - set by the fixture

    def __init__(self, count: int, threads: int, log_folder: Path, launcher: None = None) -> None:
        self.count, self.now, self.threads, self.stopped = count, count, threads, ""

    def run(self, job: Job) -> Reply:
        tracker = Tracker(Store(job.store_uri, job.artifacts_uri))
        self.trained.append(job.trial.name)
        client = MlflowClient(job.store_uri)
        settings = {**job.trial.variant.model_dump(mode="json"), "seed": job.trial.seed}
        client.log_batch(job.run_id, params=[Param(k, spell(v)) for k, v in settings.items()])
        tracker.log_summary(job.run_id, {metric_names.LOSS: 0.5})
        self.before(job.trial.name)
        accuracy = 0.9 - job.trial.seed / 100
        correct = np.arange(NUM_TEST) < NUM_TEST * accuracy
        metrics = {
            metric_names.VAL_ACCURACY_FINAL: accuracy,
            metric_names.TEST_ACCURACY: accuracy,
            metric_names.NUM_PARAMS: 10.0,
            metric_names.MACS: 10.0,
            metric_names.TRAIN_SECONDS: 1.0,
        }
        tracker.log_summary(job.run_id, metrics)
        tracker.log_files(job.run_id, {names.PREDICTIONS_FILE: predictions(correct)})
        tracker.tag(job.run_id, {names.COMPLETE: "true"})
        if self.stopped:
            return Reply("KILLED", self.stopped)
        return Reply("FINISHED", metrics=metrics)

    def close(self, why: str = "the sweep was stopped") -> None:
        self.stopped = why


@pytest.fixture(autouse=True)
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the trials that were trained."""
    monkeypatch.setattr("cnn_pipeline.trainers.pool.TrainerPool", Scripted)
    monkeypatch.setattr("cnn_pipeline.experiment.reuse.faults", lambda reader, result: [])
    # Nothing here depends on the pictures, which take seconds.
    monkeypatch.setattr("cnn_pipeline.experiment.steps._report_files", lambda *_: {})
    monkeypatch.setattr("cnn_pipeline.experiment.steps.small_svgs", lambda _: ())
    monkeypatch.setattr(Scripted, "trained", [])
    return Scripted.trained


def interrupt_at(name: str, error: BaseException) -> Callable[[str], None]:
    raised: list[str] = []

    def before(trial: str) -> None:
        if trial == name or raised:  # a trainer may have begun another one
            raised.append(trial)
            raise error

    return staticmethod(before)  # type: ignore[return-value]


def stopped_at(
    name: str, home: Home, monkeypatch: pytest.MonkeyPatch, sweep: Sweep = LISTED
) -> None:
    """Run a sweep until somebody stops it in the middle of the trial `name`."""
    with monkeypatch.context() as patch:
        patch.setattr(Scripted, "before", interrupt_at(name, Stopped("SIGTERM")))
        with pytest.raises(Stopped):
            run_sweep(sweep, home, workers=1)
    Scripted.trained.clear()


def go_on(home: Home, sweep: Sweep = LISTED, **how: bool) -> tuple[Outcome, list[Event]]:
    heard: list[Event] = []
    with events.listening(heard.append):
        outcome = run_sweep(
            sweep, home, workers=1, force=how.pop("force", False), resuming=Resuming(**how)
        )
    return outcome, heard


def runs(home: Home, kind: str) -> list[Run]:
    client = MlflowClient(home.database_uri)
    experiments = [one.experiment_id for one in client.search_experiments()]
    return list(client.search_runs(experiments, f"tags.kind = '{kind}'"))


def test_a_stopped_sweep_goes_on_in_its_own_runs(
    home: Home, monkeypatch: pytest.MonkeyPatch, trained: list[str]
) -> None:
    stopped_at(SECOND, home, monkeypatch)
    (parent,) = runs(home, "sweep")
    before = {run.data.tags["trial"]: run.info.run_id for run in runs(home, "trial")}
    assert {FIRST, SECOND} <= before.keys() <= {FIRST, SECOND, THIRD}
    outcome, heard = go_on(home)
    assert trained == [SECOND, THIRD, LAST]
    assert (outcome.ok, outcome.parent_run_id) == (True, parent.info.run_id)
    assert heard[[type(one) for one in heard].index(SweepContinued)] == SweepContinued(
        outcome.sweep_id, 1, 4
    )
    kept = [event for event in heard if isinstance(event, TrialReused)]
    assert [(event.trial, event.run_id, event.own) for event in kept] == [
        (FIRST, before[FIRST], True)
    ]
    after = {run.data.tags["trial"]: run for run in runs(home, "trial")}
    assert len(runs(home, "trial")) == 4
    assert {name: after[name].info.run_id for name in before} == before
    (parent,) = runs(home, "sweep")
    for run in (parent, *after.values()):
        assert run.info.status == "FINISHED"
        assert names.REASON not in run.data.tags
    assert names.CONTINUED_AT in parent.data.tags and names.CONTINUED_AT in after[SECOND].data.tags
    assert names.CONTINUED_AT not in after[FIRST].data.tags


@pytest.mark.parametrize("how", ["fresh", "force"])
def test_a_new_sweep_starts_where_it_is_asked_for(
    home: Home, monkeypatch: pytest.MonkeyPatch, trained: list[str], how: str
) -> None:
    stopped_at(SECOND, home, monkeypatch)
    (begun,) = (run for run in runs(home, "trial") if run.data.tags["trial"] == SECOND)
    checkpoint = home.state / "checkpoints" / begun.data.tags["content_key"] / "ckpt-00001"
    checkpoint.mkdir(parents=True)
    go_on(home, **{how: True})
    assert not checkpoint.exists()
    assert trained == ([FIRST] if how == "force" else []) + [SECOND, THIRD, LAST]
    assert sorted(run.info.status for run in runs(home, "sweep")) == ["FINISHED", "KILLED"]


def test_other_settings_do_not_go_on(
    home: Home, monkeypatch: pytest.MonkeyPatch, trained: list[str]
) -> None:
    stopped_at(SECOND, home, monkeypatch)
    other = LISTED.model_copy(update={"name": "other"})
    go_on(home, other)
    assert trained == [SECOND, THIRD, LAST]  # finished trials are reused all the same
    assert len(runs(home, "sweep")) == 2


def test_a_sweep_whose_trials_failed_begins_anew(
    home: Home, monkeypatch: pytest.MonkeyPatch, trained: list[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Scripted, "run", lambda self, job: Reply("FAILED", "out of memory"))
        run_sweep(LISTED, home, workers=1)
    go_on(home)
    assert len(trained) == 4
    assert sorted(run.info.status for run in runs(home, "sweep")) == ["FAILED", "FINISHED"]


def test_a_sweep_that_an_error_ended_goes_on(
    home: Home, monkeypatch: pytest.MonkeyPatch, trained: list[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Scripted, "before", interrupt_at(THIRD, OSError("no space left")))
        with pytest.raises(OSError, match="no space"):
            run_sweep(LISTED, home, workers=1)
    (parent,) = runs(home, "sweep")
    assert parent.info.status == "FAILED"
    trained.clear()
    go_on(home)
    assert trained == [THIRD, LAST]
    (parent,) = runs(home, "sweep")
    assert parent.info.status == "FINISHED"


def test_a_sweep_that_was_stopped_while_it_was_compared_is_only_compared(
    home: Home, monkeypatch: pytest.MonkeyPatch, trained: list[str]
) -> None:
    def stop(*_: object) -> None:
        raise Stopped("SIGTERM")

    with monkeypatch.context() as patch:
        patch.setattr("cnn_pipeline.experiment.steps._note_against_baseline", stop)
        with pytest.raises(Stopped):
            run_sweep(LISTED, home, workers=1)
    trained.clear()
    outcome, heard = go_on(home)
    assert trained == [] and outcome.ok
    assert SweepContinued(outcome.sweep_id, 4, 4) in heard
    assert len(runs(home, "sweep")) == 1 and len(runs(home, "trial")) == 4


def test_a_trial_that_was_killed_after_its_last_record_is_finished(
    home: Home, monkeypatch: pytest.MonkeyPatch, trained: list[str]
) -> None:
    """Its trainer is killed by the end of the pool, but nothing of the trial is missing."""

    def close(self: Scripted, why: str = "") -> None:
        self.stopped = "SIGTERM"

    monkeypatch.setattr(
        Scripted, "before", lambda self, name: self.close() if name == SECOND else None
    )
    _, heard = go_on(home)
    ends = {event.trial: event for event in heard if isinstance(event, TrialEnded)}
    assert ends[SECOND].status == "FINISHED"
    assert ends[SECOND].metrics[metric_names.TEST_ACCURACY] == 0.9
    assert {run.info.status for run in runs(home, "trial")} == {"FINISHED"}


def test_a_trial_that_was_completed_after_its_sweep_had_given_it_up_is_finished(
    home: Home, monkeypatch: pytest.MonkeyPatch, trained: list[str]
) -> None:
    """So a trainer does that the sweep cannot reach: the head of its cluster is lost."""
    stopped_at(LAST, home, monkeypatch)
    client = MlflowClient(home.database_uri)
    (second,) = (run for run in runs(home, "trial") if run.info.run_name == SECOND)
    client.set_terminated(second.info.run_id, "KILLED", end_time=second.info.end_time)
    client.set_tag(second.info.run_id, names.REASON, "the sweep was stopped")
    outcome, _ = go_on(home)
    assert trained == [LAST] and outcome.ok
    (second_now,) = (run for run in runs(home, "trial") if run.info.run_name == SECOND)
    assert second_now.info.end_time == second.info.end_time
    assert names.REASON not in second_now.data.tags
    assert {run.info.status for run in runs(home, "trial")} == {"FINISHED"}


def test_rounds_go_on(home: Home, monkeypatch: pytest.MonkeyPatch, trained: list[str]) -> None:
    auto = Sweep(
        name="auto", axes=Axes(filters=(2, 4)), max_rounds=3, decide=0.001, training=QUICK,
        data=SAMPLE,
    )  # fmt: skip
    stopped_at("f2-max-s2", home, monkeypatch, auto)
    outcome, heard = go_on(home, auto)
    assert trained == ["f2-max-s2"]
    assert SweepContinued(outcome.sweep_id, 5, 6) in heard
    assert outcome.rounds is not None and outcome.rounds.rounds == 3


def test_only_one_command_goes_on_with_a_sweep(
    home: Home, monkeypatch: pytest.MonkeyPatch, trained: list[str]
) -> None:
    stopped_at(SECOND, home, monkeypatch)
    sweep_id = runs(home, "sweep")[0].data.tags["sweep_id"]
    with try_hold(home.state / CLAIMS, sweep_id):
        outcome, _ = go_on(home)
    assert outcome.sweep_id != sweep_id
    assert trained == [SECOND, THIRD, LAST]
    assert {run.info.status for run in runs(home, "sweep")} == {"KILLED", "FINISHED"}


def test_a_trial_that_another_sweep_trains_is_waited_for_and_reused(
    home: Home, monkeypatch: pytest.MonkeyPatch, trained: list[str]
) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def before(name: str) -> None:
        if name == FIRST and not begun.is_set():
            begun.set()
            may_end.wait(60)

    monkeypatch.setattr(Scripted, "before", staticmethod(before))
    monkeypatch.setattr("cnn_pipeline.experiment.trials._POLL_SECONDS", 0.05)
    first = threading.Thread(target=run_sweep, args=(LISTED, home), kwargs={"workers": 1})
    first.start()
    assert begun.wait(60)
    heard: list[Event] = []

    def hear(event: Event) -> None:
        heard.append(event)
        if isinstance(event, TrialAwaited):
            may_end.set()

    with events.listening(hear):
        outcome = run_sweep(LISTED.model_copy(update={"name": "second"}), home, workers=1)
    first.join(60)
    assert sorted(trained) == sorted((FIRST, SECOND, THIRD, LAST))
    assert outcome.ok and outcome.results[0].reused_from
    awaited = next(event for event in heard if isinstance(event, TrialAwaited))
    assert awaited.trial == FIRST and awaited.holder.startswith("listed-20")


def test_a_stopped_pool_ends_the_wait(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[str] = []

    def hear(event: Event) -> None:
        if isinstance(event, TrialAwaited):
            keys.append(event.trial)
            pools[0].close("Ctrl-C")

    pools: list[Scripted] = []
    made = Scripted.__init__

    def remember(self: Scripted, *args: object, **kwargs: object) -> None:
        made(self, *args, **kwargs)  # type: ignore[arg-type]
        pools.append(self)

    monkeypatch.setattr(Scripted, "__init__", remember)
    with ExitStack() as stack:
        run_sweep(LISTED, home, workers=1)
        pools.clear()
        for run in runs(home, "trial"):
            stack.enter_context(try_hold(home.state / CLAIMS, run.data.tags["content_key"]))
        stack.enter_context(events.listening(hear))
        outcome = run_sweep(LISTED, home, workers=1, force=True)
    assert keys == [FIRST]
    assert outcome.results == ()


def test_its_time_is_that_of_its_work(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped_at(SECOND, home, monkeypatch)
    (parent,) = runs(home, "sweep")
    day = 24 * 3600
    later = time.time() + day
    with monkeypatch.context() as patch:
        patch.setattr("cnn_pipeline.tracking.writer.time", SimpleNamespace(time=lambda: later))
        go_on(home)
    (again,) = runs(home, "sweep")
    assert again.info.start_time == parent.info.start_time
    assert again.data.metrics[metric_names.SWEEP_MINUTES] < 5
    store = open_store(home, {}, create=False)
    live = LiveReader(store)
    record = Reader(store).sweep(None)
    shown = live.read(record)
    assert abs(shown.began - (parent.info.start_time / 1000 + day)) < 60
    assert abs(shown.trials[SECOND].began - shown.began) < 60
    listed = list_sweeps(store, 5).sweeps[0]
    assert listed.started.timestamp() == pytest.approx(parent.info.start_time / 1000)


def test_what_a_run_that_began_to_train_lacks_is_copied_to_it(
    home: Home, monkeypatch: pytest.MonkeyPatch, trained: list[str]
) -> None:
    stopped_at(SECOND, home, monkeypatch)
    other = LISTED.model_copy(update={"name": "other"})
    run_sweep(other, home, workers=1)
    trained.clear()
    outcome, _ = go_on(home)
    assert trained == [] and outcome.ok
    client = MlflowClient(home.database_uri)
    for result in outcome.results:
        points = client.get_metric_history(result.run_id, metric_names.LOSS)
        assert len(points) == 1
    assert len(runs(home, "trial")) == 8


WAITING = """
import sys
from pathlib import Path
from cnn_pipeline.base import events
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment import run
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.trainers import pool
from tests.running import Untrained
class Closing(Untrained):
    def close(self, why="closed"):
        self.stopped = why
pool.TrainerPool = Closing
def hear(event):
    if isinstance(event, events.TrialAwaited):
        print(event.trial, flush=True)
with events.listening(hear):
    run.run_sweep(Sweep.model_validate_json(sys.argv[2]), Home(Path(sys.argv[1])), workers=1)
"""


def test_ctrl_c_ends_the_wait_of_a_process(home: Home) -> None:
    run_sweep(LISTED, home, workers=1)
    keys = {run.data.tags["content_key"] for run in runs(home, "trial")}
    client = MlflowClient(home.database_uri)
    for run in (*runs(home, "trial"), *runs(home, "sweep")):
        client.delete_run(run.info.run_id)
    with ExitStack() as stack:
        for key in keys:
            stack.enter_context(try_hold(home.state / CLAIMS, key))
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", WAITING, str(home.root), LISTED.model_dump_json()],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().strip() == FIRST
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    (parent,) = runs(home, "sweep")
    assert parent.info.status == "KILLED"
    assert runs(home, "trial") == []
