"""A sweep without Prefect: its results, their reproducibility, and its errors."""

from __future__ import annotations

import re
import signal
import sqlite3
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import events
from cnn_pipeline.base.errors import InvalidInput, UserError
from cnn_pipeline.base.events import (
    Event,
    Stage,
    SweepStarted,
    TrialEnded,
    TrialPhase,
    TrialProgress,
)
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.find_model import best_run
from cnn_pipeline.experiment import steps
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.run import run_sweep
from cnn_pipeline.experiment.stored import load_comparison
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Variant
from cnn_pipeline.tracking.writer import Tracker
from cnn_pipeline.trainers import scheduling
from cnn_pipeline.trainers.local_pool import TrainerPool
from cnn_pipeline.trainers.scheduling import threads_for
from tests.running import QUICK, SAMPLE, TINY, begin, one_trial, run_trials

TIMINGS = ("seconds", "images_per_second", "latency_ms")


def untimed(result: TrialResult) -> dict[str, float]:
    """The metrics that must not depend on when, where and with what else a trial ran."""
    return {k: v for k, v in result.metrics.items() if not any(word in k for word in TIMINGS)}


def predictions(home: Home, result: TrialResult) -> bytes:
    client = MlflowClient(home.database_uri)
    return Path(client.download_artifacts(result.run_id, "predictions.parquet")).read_bytes()


def write_npz(path: Path, seed: int = 0, shape: tuple[int, int, int] = (12, 10, 3)) -> None:
    """Forty training and ten test images of two classes: bright on the left, or on the right."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for part, count in (("train", 40), ("test", 10)):
        labels = np.arange(count) % 2
        images = rng.integers(0, 100, (count, *shape), dtype=np.uint8)
        images[labels == 0, :, : shape[1] // 2] += 120
        images[labels == 1, :, shape[1] // 2 :] += 120
        arrays |= {f"x_{part}": images, f"y_{part}": labels}
    np.savez(path, **arrays)


def own_data(path: Path) -> DataSettings:
    return DataSettings(source=str(path), validation_size=10)


def test_one_failed_variant_does_not_sink_the_sweep(tiny: tuple[Home, Outcome]) -> None:
    outcome = tiny[1]
    assert [(r.name, r.status) for r in outcome.results] == [
        ("f2-max-d16-s0", "FINISHED"),
        ("f2-none-d16-do25-s0", "FINISHED"),
        ("diverging-s0", "FAILED"),
    ]
    assert not outcome.ok
    assert [result.name for result in outcome.failed] == ["diverging-s0"]
    ranked = {row.label: row.rank for row in outcome.comparison.rows}
    assert ranked["diverging"] is None
    assert {ranked["f2-max-d16"], ranked["f2-none-d16-do25"]} == {1, 2}
    (fault,) = outcome.comparison.faults
    assert "lower the learning rate, received 10" in fault.reason
    parent = MlflowClient(tiny[0].database_uri).get_run(outcome.parent_run_id)
    assert parent.info.status == "FAILED"
    assert parent.info.end_time is not None
    assert parent.data.tags["reason"] == f"diverging-s0: {outcome.failed[0].reason}"


def test_it_learns(tiny: tuple[Home, Outcome]) -> None:
    """Without pooling, 600 images and two epochs already beat guessing (10 %) clearly."""
    assert tiny[1].results[1].metrics["test_accuracy"] > 0.2


def test_the_comparison_made_later_is_the_same(
    tiny: tuple[Home, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, outcome = tiny
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert load_comparison(None, home) == outcome.comparison
    assert load_comparison(outcome.sweep_id, home) == outcome.comparison
    chosen = outcome.comparison.verdict.chosen
    (expected,) = (result.run_id for result in outcome.results if result.label == chosen)
    assert best_run(None, home) == expected
    with pytest.raises(UserError, match="no sweep 'other'"):
        load_comparison("other", home)


def test_trials_repeat_in_another_process_and_order(
    tiny: tuple[Home, Outcome], home: Home, tmp_path: Path, pool: TrainerPool
) -> None:
    """The trainer has run trials of other tests before, and runs these in reverse order."""
    backwards = tuple(reversed(TINY.trials()[:2]))
    again = run_trials(begin(TINY, home, tmp_path), pool, backwards)
    before = {result.name: result for result in tiny[1].results}
    for result in again:
        stored = before[result.name]
        headline = untimed(result)
        assert len(headline) == 15
        assert headline == {name: stored.metrics[name] for name in headline}
        assert predictions(home, result) == predictions(tiny[0], stored)


def test_another_seed_gives_another_network(
    tiny: tuple[Home, Outcome], home: Home, tmp_path: Path, pool: TrainerPool
) -> None:
    other = TINY.model_copy(update={"seeds": (1,)})
    (result,) = run_trials(begin(other, home, tmp_path), pool, other.trials()[1:2])
    assert result.name == "f2-none-d16-do25-s1"
    assert predictions(home, result) != predictions(tiny[0], tiny[1].results[1])


@pytest.mark.slow
@pytest.mark.usefixtures("shared_trainers")
def test_two_workers_give_what_one_gives(tiny: tuple[Home, Outcome], home: Home) -> None:
    heard: list[Event] = []
    with events.listening(heard.append):
        outcome = run_sweep(TINY, home, workers=2)
    (started,) = (event for event in heard if isinstance(event, SweepStarted))
    assert started.at_once == 2
    for result, before in zip(outcome.results, tiny[1].results, strict=True):
        assert (result.name, result.status) == (before.name, before.status)
        assert untimed(result) == untimed(before)
    for result, before in zip(outcome.results[:2], tiny[1].results[:2], strict=True):
        assert predictions(home, result) == predictions(tiny[0], before)


def test_data_that_change_while_the_sweep_runs_are_refused(
    home: Home, tmp_path: Path, pool: TrainerPool
) -> None:
    path = tmp_path / "mine.npz"
    write_npz(path)
    sweep_run = begin(one_trial(QUICK.model_copy(update={"batch_size": 8}), own_data(path)),
                      home, tmp_path)  # fmt: skip
    write_npz(path, seed=1)
    (result,) = run_trials(sweep_run, pool)
    assert result.status == "FAILED"
    assert result.reason.startswith("DataError: the data changed while the sweep ran")
    assert sweep_run.decision.card.digest in result.reason


def test_own_colour_images_of_another_size_train(
    home: Home, tmp_path: Path, pool: TrainerPool
) -> None:
    path = tmp_path / "mine.npz"
    write_npz(path)
    training = QUICK.model_copy(update={"batch_size": 8, "epochs": 20, "learning_rate": 0.01})
    sweep_run = begin(one_trial(training, own_data(path)), home, tmp_path)
    (result,) = run_trials(sweep_run, pool)
    assert (result.status, result.reason) == ("FINISHED", "")
    assert result.metrics["test_accuracy"] >= 0.9
    outcome = steps.finish(sweep_run)
    assert outcome.ok
    run = MlflowClient(home.database_uri).get_run(result.run_id)
    assert run.data.tags["image_shape"] == "12x10x3"
    assert run.data.tags["mlflow.note.content"].count("12x10x3 > C2 3x3") == 1
    parent = MlflowClient(home.database_uri).get_run(outcome.parent_run_id)
    assert (parent.info.status, parent.data.tags.get("reason")) == ("FINISHED", None)


def test_faults_are_found_before_anything_starts(tmp_path: Path) -> None:
    sweep = Sweep(
        variant=Variant(conv_layers=6),
        training=Training(batch_size=601),
        data=SAMPLE,
    )
    with pytest.raises(InvalidInput) as refused:
        run_sweep(sweep, Home(tmp_path / "new"))
    assert len(refused.value.faults) == 2
    assert "batch_size must be at most 600" in refused.value.faults[0]
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_does_not_lock_the_store(home: Home, tmp_path: Path) -> None:
    """Ctrl-C leaves the transaction open, and the exception holds it."""
    sweep_run = begin(one_trial(), home, tmp_path)

    def write() -> None:
        connection = sqlite3.connect(home.database)
        connection.execute("BEGIN IMMEDIATE")
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt), steps.ending(sweep_run):
        write()
    assert time.monotonic() - started < 15, "MLflow waits 20 s for the lock"
    run = MlflowClient(home.database_uri).get_run(sweep_run.run_id)
    assert run.info.status == "KILLED"


def test_events_report_every_step(home: Home, tmp_path: Path, pool: TrainerPool) -> None:
    heard: list[Event] = []
    sweep = one_trial(QUICK.model_copy(update={"epochs": 2}))
    with events.listening(heard.append):
        sweep_run = begin(sweep, home, tmp_path)
        steps.announce(sweep_run)
        (result,) = run_trials(sweep_run, pool)
        steps.finish(sweep_run)
    kinds = [type(event) for event in heard]
    assert kinds[:2] == [Stage, SweepStarted]
    assert kinds[-2:] == [TrialEnded, Stage]
    assert [event.phase for event in heard if isinstance(event, TrialPhase)] == [
        "building",
        "training",
        "evaluating",
        "logging",
    ]
    epochs = [e for e in heard if isinstance(e, TrialProgress) and e.metrics]
    assert [(e.epoch, e.epochs, e.images, e.total_images) for e in epochs] == [
        (0, 2, 600, 1200),
        (1, 2, 1200, 1200),
    ]
    ended = next(event for event in heard if isinstance(event, TrialEnded))
    assert (ended.trial, ended.status, ended.metrics) == (result.name, "FINISHED", result.metrics)


def test_an_exception_ends_the_parent_run(home: Home, tmp_path: Path) -> None:
    sweep_run = begin(one_trial(), home, tmp_path)
    with pytest.raises(ValueError, match="disk"), steps.ending(sweep_run):
        raise ValueError("disk full at http://ann:s3cr3t@host/x")
    run = MlflowClient(home.database_uri).get_run(sweep_run.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["reason"] == "ValueError: disk full at http://***@host/x"


def test_a_sweep_is_ended_from_its_first_byte(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What raises while its settings are written ends its run."""

    def stop(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    monkeypatch.setattr(Tracker, "describe_sweep", stop)
    with pytest.raises(SystemExit):
        begin(one_trial(), home, tmp_path)
    client = MlflowClient(home.database_uri)
    (run,) = client.search_runs([e.experiment_id for e in client.search_experiments()])
    assert (run.info.status, run.data.tags["reason"]) == ("KILLED", "SIGTERM")


def test_a_store_that_is_gone_does_not_hide_why_the_sweep_ended(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_run = begin(one_trial(), home, tmp_path)

    def refuse(*_: object) -> None:
        raise MlflowException("no server at http://ann:s3cr3t@host/x")

    monkeypatch.setattr(Tracker, "end", refuse)
    with pytest.raises(ValueError, match="disk full") as raised, steps.ending(sweep_run):
        raise ValueError("disk full")
    (note,) = raised.value.__notes__
    assert note == (
        f"run {sweep_run.run_id} could not be ended: MlflowException: "
        "no server at http://***@host/x"
    )


def test_threads_are_as_asked_or_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduling, "available_cores", lambda: 8)
    assert threads_for(one_trial(Training(threads=3)), 2) == 3
    assert threads_for(one_trial(Training()), 3) == 2
    assert threads_for(one_trial(Training()), 16) == 1


def test_a_stored_config_repeats_its_run(
    tiny: tuple[Home, Outcome], home: Home, tmp_path: Path, pool: TrainerPool
) -> None:
    """The values of 'auto' and 'all cores' are recorded, so the command gives equal numbers."""
    asked = QUICK.model_copy(update={"precision": "auto", "threads": 0})
    (result,) = run_trials(begin(one_trial(asked), home, tmp_path), pool)
    note = MlflowClient(home.database_uri).get_run(result.run_id).data.tags["mlflow.note.content"]
    assert "--threads 1" in note
    assert "--precision float32" in note or "--precision bfloat16" in note
    assert "--precision auto" not in note


def test_predictions_are_a_table_that_pairs(tiny: tuple[Home, Outcome]) -> None:
    home, outcome = tiny
    tables = [pd.read_parquet(BytesIO(predictions(home, result))) for result in outcome.results[:2]]
    assert tables[0]["label"].equals(tables[1]["label"])
    assert tables[0]["index"].tolist() == list(range(1000))


def test_sweep_ids_tell_name_and_time_and_differ() -> None:
    first, second = (steps.new_sweep_id("pooling") for _ in range(2))
    assert re.fullmatch(r"pooling-20\d{6}-\d{6}-[0-9a-f]{4}", first)
    assert first != second
