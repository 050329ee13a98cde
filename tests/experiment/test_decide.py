"""Trials whose inputs are identical are found, verified and reused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path

from cnn_pipeline.base import events
from cnn_pipeline.base.events import Event, Stage, SweepStarted, TrialReused
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.predict import predict_files
from cnn_pipeline.cli.json_output import json_text
from cnn_pipeline.experiment import steps, stored, trials
from cnn_pipeline.experiment.data_card import prepare_data
from cnn_pipeline.experiment.decide import Decision, decide
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.run import run_sweep
from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.sweep import Entry, Sweep
from cnn_pipeline.settings.trial import Variant
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.tracking.writer import Tracker
from cnn_pipeline.trainers.local_pool import TrainerPool
from cnn_pipeline.trainers.pool import Crew
from tests.champion.server.test_request import BOOT, png
from tests.experiment.test_run import own_data, write_npz
from tests.flows.test_flow import environment
from tests.running import (
    COMPUTED,
    COUNTING,
    DEADLINE,
    QUICK,
    SAMPLE,
    Untrained,
    begin,
    counts_of_a_decision,
    run_trials,
)

MAX, NONE = "f2-max-d16", "f2-none-d16"
PAIR = Sweep(
    name="pair",
    entries=(
        Entry(variant=Variant(filters=2, dense_units=16)),
        Entry(variant=Variant(filters=2, dense_units=16, pooling="none")),
    ),
    seeds=(0,),
    training=QUICK,
    data=SAMPLE,
    baseline=MAX,
)
OTHER = Entry(variant=Variant(filters=3, dense_units=16))
THREADS = QUICK.threads


def local(uri: str) -> Path:
    return Path(local_file_uri_to_path(uri))


@dataclass(frozen=True)
class Trained:
    """A trained sweep that tests share. A test that changes it must restore it."""

    home: Home
    outcome: Outcome

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.home.database_uri)

    @property
    def first(self) -> TrialResult:
        return self.outcome.results[0]

    def files(self, result: TrialResult) -> Path:
        """Folder of a run's artifacts."""
        return local(self.client.get_run(result.run_id).info.artifact_uri)

    def model_file(self, result: TrialResult) -> Path:
        """The `.keras` file of a run."""
        (output,) = self.client.get_run(result.run_id).outputs.model_outputs
        location = self.client.get_logged_model(output.model_id).artifact_location
        return local(location) / names.MODEL_FILE

    def runs(self) -> list[Run]:
        """All runs in the store."""
        return list(self.client.search_runs([self.outcome.experiment_id], max_results=1000))


@pytest.fixture(autouse=True)
def _this_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, _migrated_store: Path, pool: TrainerPool
) -> Trained:
    """Two small networks, trained without Prefect."""
    folder = tmp_path_factory.mktemp("trained")
    home = Home(folder / "home with späces")
    home.artifacts.mkdir(parents=True)
    shutil.copy(_migrated_store, home.database)
    sweep_run = begin(PAIR, home, folder)
    run_trials(sweep_run, pool)
    outcome = steps.finish(sweep_run)
    assert outcome.ok
    return Trained(home, outcome)


def decided(sweep: Sweep, home: Home, threads: int = THREADS) -> Decision:
    return decide(sweep, prepare_data(sweep.data, home.root), home, Crew(1, threads))


def unchanged(sweep: Sweep, home: Home, threads: int = THREADS) -> Outcome | None:
    return decided(sweep, home, threads).unchanged


def reusable(sweep: Sweep, home: Home, threads: int = THREADS) -> dict[str, TrialResult]:
    """The trials that a sweep of another name may reuse, one by one."""
    other = sweep.model_copy(update={"name": "asked"})
    found = decided(other, home, threads)
    assert found.unchanged is None
    return dict(found.reusable)


def trained_by(result: TrialResult) -> str:
    return result.reused_from or result.run_id


def repeat(sweep_run: SweepRun, found: dict[str, TrialResult]) -> list[TrialResult]:
    """Reuse every trial of the sweep that was found, as the flow does."""
    decision = replace(sweep_run.decision, reusable=found)
    sweep_run = replace(sweep_run, decision=decision)
    return [
        trials.reuse_trial(sweep_run, trial, {})
        for trial in decision.sweep.trials()
        if trial.name in found
    ]


def test_an_unchanged_sweep_is_its_own_outcome(trained: Trained) -> None:
    before = {run.info.run_id for run in trained.runs()}
    again = unchanged(PAIR, trained.home)
    assert again is not None
    assert not again.trained
    assert (again.sweep_id, again.parent_run_id) == (
        trained.outcome.sweep_id,
        trained.outcome.parent_run_id,
    )
    assert again.results == trained.outcome.results
    assert again.comparison == trained.outcome.comparison
    assert {run.info.run_id for run in trained.runs()} == before
    assert json.loads(json_text("run", again))["trained"] is False


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"name": "renamed", "description": "Other words."}, {MAX, NONE}),
        ({"entries": (*PAIR.entries, OTHER)}, {MAX, NONE}),
        ({"entries": (PAIR.entries[0], OTHER)}, {MAX}),
        ({"seeds": (0, 1)}, {MAX, NONE}),
        ({"seeds": (1,)}, set()),
        ({"training": QUICK.model_copy(update={"epochs": 2})}, set()),
        ({"data": SAMPLE.model_copy(update={"train_limit": 500})}, set()),
    ],
    ids=["name", "one more", "one other", "more seeds", "another seed", "training", "data"],
)
def test_what_changed_is_trained_and_nothing_else(
    trained: Trained, change: dict[str, Any], kept: set[str]
) -> None:
    sweep = Sweep.model_validate(PAIR.model_dump() | change)
    assert unchanged(sweep, trained.home) is None
    found = reusable(sweep, trained.home)
    assert found.keys() == {f"{label}-s0" for label in kept}
    ids = {result.name: result.run_id for result in trained.outcome.results}
    assert {name: trained_by(result) for name, result in found.items()} == {
        name: ids[name] for name in found
    }


def test_another_number_of_threads_prevents_reuse(
    trained: Trained,
) -> None:
    assert unchanged(PAIR, trained.home, THREADS + 1) is None
    assert reusable(PAIR, trained.home, THREADS + 1) == {}


def test_looking_for_trials_creates_no_store(tmp_path: Path) -> None:
    home = Home(tmp_path / "new")
    assert unchanged(PAIR, home) is None
    assert reusable(PAIR, home) == {}
    assert not home.root.exists()


def history(client: MlflowClient, run: Run) -> dict[str, list[tuple[int, float, int]]]:
    return {
        key: [
            (p.step, p.value, p.timestamp) for p in client.get_metric_history(run.info.run_id, key)
        ]
        for key in run.data.metrics
    }


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_reused_run_has_everything_of_the_first(trained: Trained, tmp_path: Path) -> None:
    sweep_run = begin(PAIR.model_copy(update={"name": "again"}), trained.home, tmp_path)
    heard: list[Event] = []
    found = reusable(sweep_run.decision.sweep, trained.home)
    with events.listening(heard.append):
        copies = repeat(sweep_run, found)
    assert heard == [TrialReused(result.name, result.run_id) for result in trained.outcome.results]
    client = trained.client
    for result, copied in zip(trained.outcome.results, copies, strict=True):
        first, second = client.get_run(result.run_id), client.get_run(copied.run_id)
        assert second.info.run_id != first.info.run_id
        assert (second.info.status, second.info.run_name) == ("FINISHED", result.name)
        assert second.data.params == first.data.params
        assert len(second.data.metrics) > 40
        measured, compared = history(client, first), {"rank", "verdict_low", "verdict_high"}
        assert history(client, second) == {k: v for k, v in measured.items() if k not in compared}
        assert measured.keys() > compared  # what the comparison of its own sweep says of it
        assert second.inputs.to_dictionary() == first.inputs.to_dictionary()
        assert [o.model_id for o in second.outputs.model_outputs] == [
            o.model_id for o in first.outputs.model_outputs
        ]
        assert contents(trained.files(copied)) == contents(trained.files(result))
        tags, before = second.data.tags, first.data.tags
        assert tags[names.REUSED_FROM] == copied.reused_from == result.run_id
        assert tags[names.PARENT] == sweep_run.run_id
        assert tags[names.SWEEP_ID] == sweep_run.sweep_id
        own = {names.PARENT, names.SWEEP_ID, names.NOTE, names.REUSED_FROM}
        assert {k: v for k, v in tags.items() if k not in own} == {
            k: v for k, v in before.items() if k not in own
        }
        assert tags[names.NOTE].startswith(f"Reused from run {result.run_id}, whose inputs")
        assert copied.metrics == result.metrics
    steps.finish(sweep_run)


def test_a_reused_run_names_the_code_that_trained_it(trained: Trained, tmp_path: Path) -> None:
    Tracker(Store(trained.home.database_uri, None)).tag(
        trained.first.run_id, {"git_commit": "abc", "code_digest": "before"}
    )
    sweep_run = begin(PAIR.model_copy(update={"name": "code"}), trained.home, tmp_path)
    (copied, _) = repeat(sweep_run, {r.name: r for r in trained.outcome.results})
    tags = trained.client.get_run(copied.run_id).data.tags
    assert (tags["git_commit"], tags["code_digest"]) == ("abc", "before")
    steps.finish(sweep_run)


def test_a_run_reused_twice_names_the_run_that_trained(trained: Trained, tmp_path: Path) -> None:
    """The first sweep's runs are deleted, so that a reused run is reused."""
    sources = {result.name: result for result in trained.outcome.results}
    baseline = PAIR.model_copy(update={"name": "baseline", "baseline": NONE})
    for number in range(2):
        sweep_run = begin(baseline, trained.home, tmp_path)
        copies = repeat(sweep_run, sources)
        outcome = steps.finish(sweep_run)
        assert [copy.reused_from for copy in copies] == [
            result.run_id for result in trained.outcome.results
        ]
        assert [r.reused_from for r in outcome.results] == [c.reused_from for c in copies]
        sources = {result.name: result for result in outcome.results}
        notes = [trained.client.get_run(copy.run_id).data.tags[names.NOTE] for copy in copies]
        for copy, note in zip(copies, notes, strict=True):
            assert note.count("Reused from run") == 1, number
            assert note.count("Train it again:") == 1
            assert note.count(copy.reused_from) >= 1
        assert notes[0].count("Against the baseline") == 1
        assert f"Against the baseline {NONE}" in notes[0]
        assert "Against the baseline" not in notes[1]


def test_a_reused_run_has_the_new_name_of_its_variant(trained: Trained, tmp_path: Path) -> None:
    entry = PAIR.entries[0].model_copy(update={"label": "small"})
    sweep = PAIR.model_copy(update={"entries": (entry, PAIR.entries[1]), "baseline": "small"})
    found = reusable(sweep, trained.home)
    assert found.keys() == {"small-s0", f"{NONE}-s0"}
    sweep_run = begin(sweep, trained.home, tmp_path)
    repeat(sweep_run, found)
    outcome = steps.finish(sweep_run)
    run = trained.client.get_run(outcome.results[0].run_id)
    assert (run.info.run_name, run.data.params["variant"]) == ("small-s0", "small")
    assert (run.data.tags[names.TRIAL], run.data.tags[names.VARIANT]) == ("small-s0", "small")
    assert {row.label for row in outcome.comparison.rows} == {"small", NONE}


def test_a_sweep_of_old_and_new_runs_is_compared_reported_and_used_as_any(
    trained: Trained, tmp_path: Path, pool: TrainerPool
) -> None:
    home = trained.home
    sweep = PAIR.model_copy(update={"name": "three", "entries": (*PAIR.entries, OTHER)})
    found = reusable(sweep, home)
    sweep_run = begin(sweep, home, tmp_path, force=False)
    assert sweep_run.decision.reusable == found
    heard: list[Event] = []
    with events.listening(heard.append):
        steps.announce(sweep_run)
    (started,) = (event for event in heard if isinstance(event, SweepStarted))
    assert set(started.estimates) == {"f3-max-d16-s0"}
    repeat(sweep_run, found)
    run_trials(sweep_run, pool, sweep.trials()[2:])
    outcome = steps.finish(sweep_run)

    assert outcome.ok
    assert outcome.trained
    old, new = outcome.results[:2], outcome.results[2]
    assert [result.reused_from for result in old] == [
        result.run_id for result in trained.outcome.results
    ]
    assert new.reused_from == ""
    shown = json.loads(json_text("run", outcome))
    assert shown["trained"] is True
    assert [bool(variant["reused_from"]) for variant in shown["results"]] == [True, True, False]
    accuracies = {row.label: row.test_accuracy for row in outcome.comparison.rows}
    for row in trained.outcome.comparison.rows:
        assert accuracies[row.label] == row.test_accuracy
    assert outcome.comparison.faults == ()
    assert stored.load_comparison(outcome.sweep_id, home) == outcome.comparison

    page = stored.load_report(outcome.sweep_id, home)
    for result in outcome.results:
        assert page.count(result.label) > 1
    picture = tmp_path / "boot.png"
    picture.write_bytes(png(BOOT))
    for copied, first in zip(old, trained.outcome.results, strict=True):
        (said,) = predict_files([picture], home, run_id=copied.run_id)
        (before,) = predict_files([picture], home, run_id=first.run_id)
        assert said.top == before.top

    again = unchanged(sweep, home)
    assert again is not None
    assert again.sweep_id == outcome.sweep_id
    assert again.results == outcome.results


@pytest.fixture
def spoiled(trained: Trained) -> Iterator[Callable[[Path, bytes | None], None]]:
    """Replaces a file of the trained sweep, or removes it, until the test is over."""
    before: dict[Path, bytes] = {}

    def spoil(path: Path, content: bytes | None) -> None:
        before.setdefault(path, path.read_bytes())
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)

    yield spoil
    for path, content in before.items():
        path.write_bytes(content)


def fresh(trained: Trained, pool: TrainerPool, tmp_path: Path) -> Trained:
    """A sweep of one trial with inputs that no other run in the store has."""
    sweep = own_sweep()
    if unchanged(sweep, trained.home) is None:
        sweep_run = begin(sweep, trained.home, tmp_path)
        run_trials(sweep_run, pool)
        steps.finish(sweep_run)
    outcome = unchanged(sweep, trained.home)
    assert outcome is not None
    return Trained(trained.home, outcome)


def own_sweep() -> Sweep:
    return PAIR.model_copy(
        update={"name": "own", "entries": PAIR.entries[:1], "seeds": (5,), "baseline": None}
    )


def flipped(path: Path) -> bytes:
    """The file with one bit flipped in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    return bytes(content)


def mistaken(path: Path, folder: Path) -> bytes:
    """A readable table of predictions with ten labels changed."""
    table = pd.read_parquet(path)
    table.loc[:9, "label"] = (table.loc[:9, "label"] + 1) % 10
    changed = folder / "changed.parquet"
    table.to_parquet(changed, index=False)
    return changed.read_bytes()


DAMAGE: dict[str, tuple[Callable[[Trained, Path], tuple[Path, bytes | None]], str]] = {
    "model changed": (
        lambda t, _: (t.model_file(t.first), flipped(t.model_file(t.first))),
        "the model's sha256 must be ",
    ),
    "model gone": (lambda t, _: (t.model_file(t.first), None), f"{names.MODEL_FILE} must be there"),
    "predictions changed": (
        lambda t, folder: (
            t.files(t.first) / names.PREDICTIONS_FILE,
            mistaken(t.files(t.first) / names.PREDICTIONS_FILE, folder),
        ),
        f"{names.PREDICTIONS_FILE} must have SHA-256 ",
    ),
    "predictions unreadable": (
        lambda t, _: (t.files(t.first) / names.PREDICTIONS_FILE, b"no table"),
        "arquet",
    ),
    **{
        f"{name} gone": (
            lambda t, _, name=name: (t.files(t.first) / name, None),  # type: ignore[misc]
            f"{name} must be among its artifacts",
        )
        for name in (
            names.CONFIG_FILE,
            names.HISTORY_FILE,
            names.LAYERS_FILE,
            names.PREDICTIONS_FILE,
            names.SUMMARY_FILE,
        )
    },
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_run_is_not_reused(
    trained: Trained,
    pool: TrainerPool,
    tmp_path: Path,
    spoiled: Callable[[Path, bytes | None], None],
    damage: str,
) -> None:
    own = fresh(trained, pool, tmp_path)
    how, expected = DAMAGE[damage]
    path, content = how(own, tmp_path)
    spoiled(path, content)
    heard: list[Event] = []
    with events.listening(heard.append):
        found = decided(own_sweep(), own.home)
    assert found.unchanged is None
    assert found.reusable == {}
    (told,) = (event.text for event in heard if isinstance(event, Stage) and "reused" in event.text)
    assert told.startswith(f"{own.first.name}: run {own.first.run_id} is not reused: ")
    assert expected in told
    assert len(told.splitlines()) == 1


def test_an_older_intact_run_is_reused_instead_of_a_damaged_one(
    trained: Trained,
    pool: TrainerPool,
    tmp_path: Path,
    spoiled: Callable[[Path, bytes | None], None],
) -> None:
    own = fresh(trained, pool, tmp_path)
    sweep_run = begin(own_sweep(), own.home, tmp_path)
    (newer,) = repeat(sweep_run, reusable(own_sweep(), own.home))
    steps.finish(sweep_run)
    (found,) = reusable(own_sweep(), own.home).values()
    assert found.run_id == newer.run_id
    spoiled(own.files(newer) / names.PREDICTIONS_FILE, b"no table")
    assert unchanged(own_sweep(), own.home) is None
    (found,) = reusable(own_sweep(), own.home).values()
    assert found.run_id == own.first.run_id
    own.client.delete_run(sweep_run.run_id)
    own.client.delete_run(newer.run_id)


def test_trials_of_a_sweep_without_settings_file_are_reused(
    trained: Trained,
    pool: TrainerPool,
    tmp_path: Path,
    spoiled: Callable[[Path, bytes | None], None],
) -> None:
    own = fresh(trained, pool, tmp_path)
    parent = replace(own.first, run_id=own.outcome.parent_run_id)
    spoiled(own.files(parent) / names.SWEEP_FILE, None)
    assert unchanged(own_sweep(), own.home) is None
    assert reusable(own_sweep(), own.home).keys() == {own.first.name}


def test_a_run_that_was_deleted_is_not_found(
    trained: Trained, pool: TrainerPool, tmp_path: Path
) -> None:
    own = fresh(trained, pool, tmp_path)
    own.client.delete_run(own.first.run_id)
    try:
        assert unchanged(own_sweep(), own.home) is None
        assert reusable(own_sweep(), own.home) == {}
    finally:
        own.client.restore_run(own.first.run_id)


@pytest.mark.parametrize("status", ["RUNNING", "KILLED", "FAILED", "FINISHED"])
def test_a_run_that_did_not_end_as_it_should_is_never_reused(
    home: Home, tmp_path: Path, status: str
) -> None:
    """The runs have a content key, but even the FINISHED one lacks the tag of a complete run."""
    sweep = own_sweep()
    sweep_run = begin(sweep, home, tmp_path)
    tracker = Tracker(Store(sweep_run.store_uri, sweep_run.artifacts_uri))
    (trial,) = sweep.trials()
    key = sweep_run.decision.content_keys[trial.name]
    run_id = trials.start_trial(tracker, sweep_run, trial, {})
    assert MlflowClient(home.database_uri).get_run(run_id).data.tags[names.CONTENT_KEY] == key
    if status != "RUNNING":
        tracker.end(run_id, status)
    tracker.end(sweep_run.run_id, "FINISHED")
    assert unchanged(sweep, home) is None
    assert reusable(sweep, home) == {}


def test_an_interrupted_copy_is_not_a_finished_run(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    sweep_run = begin(PAIR, trained.home, tmp_path)
    found = reusable(PAIR, trained.home)
    monkeypatch.setattr(MlflowClient, "log_artifacts", interrupted)
    with pytest.raises(KeyboardInterrupt), steps.ending(sweep_run):
        repeat(sweep_run, found)
    condition = f"tags.{names.SWEEP_ID} = '{sweep_run.sweep_id}'"
    runs = trained.client.search_runs([sweep_run.experiment_id], filter_string=condition)
    assert [run.info.status for run in runs] == ["KILLED", "KILLED"]
    assert all(names.COMPLETE not in run.data.tags for run in runs)
    after = reusable(PAIR, trained.home)
    assert {n: r.run_id for n, r in after.items()} == {n: r.run_id for n, r in found.items()}


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[Untrained]:
    """The pools that are started; none of them starts a process."""
    monkeypatch.setattr("cnn_pipeline.trainers.pool.TrainerPool", Untrained)
    Untrained.started = []
    return Untrained.started


def test_run_sweep_returns_an_unchanged_sweep_and_starts_no_trainers(
    trained: Trained, pools: list[Untrained]
) -> None:
    before = {run.info.run_id for run in trained.runs()}
    outcome = run_sweep(PAIR, trained.home, workers=1)
    assert (outcome.trained, outcome.results) == (False, trained.outcome.results)
    assert {run.info.run_id for run in trained.runs()} == before
    assert pools == []


def test_run_sweep_reuses_each_trial_and_starts_no_trainers(
    trained: Trained, pools: list[Untrained]
) -> None:
    outcome = run_sweep(PAIR.model_copy(update={"name": "same"}), trained.home, workers=1)
    assert (outcome.trained, outcome.ok) == (True, True)
    assert [result.reused_from for result in outcome.results] == [
        result.run_id for result in trained.outcome.results
    ]
    assert pools == []


def test_run_sweep_trains_what_is_new_or_forced(trained: Trained, pools: list[Untrained]) -> None:
    new = Entry(variant=Variant(filters=5, dense_units=16))
    sweep = PAIR.model_copy(update={"name": "more", "entries": (PAIR.entries[0], new)})
    outcome = run_sweep(sweep, trained.home, workers=1)
    assert [bool(result.reused_from) for result in outcome.results] == [True, False]
    (pool,) = pools
    assert pool.jobs == ["f5-max-d16-s0"]
    run_sweep(PAIR, trained.home, workers=1, force=True)
    assert sorted(pools[1].jobs) == [f"{MAX}-s0", f"{NONE}-s0"]


COUNTED_RUN_SWEEP = """
from pathlib import Path
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.run import run_sweep
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.trainers import pool
from tests.running import Untrained
pool.TrainerPool = Untrained
run_sweep(Sweep.model_validate_json(sys.argv[2]), Home(Path(sys.argv[1])))
print(json.dumps(counts))
"""
# Runs the commands that it is told on standard input, and counts anew for each.
COUNTED_COMMANDS = """
import contextlib, io
from pathlib import Path
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.trainers import launching, pool
launcher, made = launching.new_launcher(Path(sys.argv[1]).open("ab")), pool.TrainerPool
pool.TrainerPool = lambda count, threads, folder, _: made(count, threads, folder, launcher)
for line in sys.stdin:
    counts.update(dict.fromkeys(counts, 0))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = status_of(json.loads(line))
    print(json.dumps([status, out.getvalue(), err.getvalue(), counts]), flush=True)
"""


@pytest.mark.parametrize("own", [False, True], ids=["named data", "own data"])
def test_run_sweep_computes_each_part_of_its_decision_once(
    home: Home, tmp_path: Path, own: bool
) -> None:
    sweep = PAIR
    if own:
        write_npz(tmp_path / "mine.npz")
        training = QUICK.model_copy(update={"batch_size": 8})
        data = own_data(tmp_path / "mine.npz")
        sweep = PAIR.model_copy(update={"data": data, "training": training})
    done = subprocess.run(
        [sys.executable, "-c", COUNTING + COUNTED_RUN_SWEEP, json.dumps(COMPUTED),
         str(home.root), sweep.model_dump_json()],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=environment(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == counts_of_a_decision(trials=2)


CommandLine = Callable[..., tuple[dict[str, Any], str]]


@pytest.fixture(scope="module")
def command_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """Runs `cnn-pipeline run --json` for a small sweep; gives its stdout and stderr.

    All commands run in one process, beside which a Prefect server is started for each.
    """
    folder = tmp_path_factory.mktemp("commands")
    settings = [
        "--data", SAMPLE.source, "--validation-size", "500", "--train-limit", "600",
        "--pooling", "max", "--epochs", "1", "--threads", "1", "--precision", "float32",
        "--seeds", "0",
    ]  # fmt: skip
    script = [sys.executable, "-c", COUNTING + COUNTED_COMMANDS, json.dumps(COMPUTED)]
    with subprocess.Popen(
        [*script, str(folder / "trainers.log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(folder),
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        sent, received = process.stdin, process.stdout

        def run(home: Home, *words: str) -> tuple[dict[str, Any], str]:
            line = ["run", "--home", str(home.root), "--json", *settings, *words]
            sent.write(json.dumps(line) + "\n")
            sent.flush()
            status, out, said, counts = json.loads(received.readline())
            assert status == 0, said
            result: dict[str, Any] = json.loads(out)
            assert counts == counts_of_a_decision(len(result["results"]))
            return result, said

        yield run


def reused(result: dict[str, Any]) -> dict[str, str]:
    return {variant["name"]: variant["reused_from"] for variant in result["results"]}


def trainer_logs(home: Home) -> set[str]:
    return {path.name for path in (home.state / "logs").iterdir()}


@pytest.mark.slow
def test_the_command_trains_only_what_is_new(home: Home, command_line: CommandLine) -> None:
    """Trained, unchanged, one variant more, forced."""
    first, _ = command_line(home, "--filters", "2,3")
    assert first["trained"] is True
    assert set(reused(first).values()) == {""}
    ids = {variant["name"]: variant["run_id"] for variant in first["results"]}
    logs = trainer_logs(home)
    client = MlflowClient(home.database_uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    flow_database = (home.state / "prefect" / "prefect.db").stat().st_mtime_ns

    second, said = command_line(home, "--filters", "2,3")
    assert second == first | {"trained": False}
    assert len(client.search_runs(experiments)) == 3
    assert trainer_logs(home) == logs, "a trainer was started"
    assert (home.state / "prefect" / "prefect.db").stat().st_mtime_ns == flow_database
    assert "building" not in said

    third, said = command_line(home, "--filters", "2,4,3")
    assert third["trained"] is True
    assert third["sweep_id"] != first["sweep_id"]
    assert reused(third) == {
        "f2-max-s0": ids["f2-max-s0"], "f4-max-s0": "", "f3-max-s0": ids["f3-max-s0"],
    }  # fmt: skip
    assert f"{third['sweep_id']}: 1 trial, " in said
    assert f"f2-max-s0: reused from run {ids['f2-max-s0']}" in said
    assert [line for line in said.splitlines() if line.endswith(": training")] == [
        line for line in said.splitlines() if line.endswith("f4-max-s0: training")
    ]

    forced, said = command_line(home, "--filters", "2,3", "--force")
    assert forced["trained"] is True
    assert set(reused(forced).values()) == {""}
    assert not {variant["run_id"] for variant in forced["results"]} & set(ids.values())
    accuracies = [
        {v["name"]: v["metrics"]["test_accuracy"] for v in result["results"]}
        for result in (first, forced)
    ]
    assert accuracies[0] == accuracies[1]


@pytest.mark.slow
def test_the_command_retrains_what_is_damaged(home: Home, command_line: CommandLine) -> None:
    first, _ = command_line(home, "--filters", "2")
    (variant,) = first["results"]
    client = MlflowClient(home.database_uri)
    uri = client.get_run(variant["run_id"]).info.artifact_uri
    (local(uri) / names.PREDICTIONS_FILE).unlink()
    second, said = command_line(home, "--filters", "2")
    assert second["trained"] is True
    assert reused(second) == {"f2-max-s0": ""}
    assert said.count(f"f2-max-s0: run {variant['run_id']} is not reused") == 1
