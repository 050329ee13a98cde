"""Whole commands on a home that is damaged, lost, moved or copied."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.registry import Promoter
from cnn_pipeline.tracking.champions import Journal
from cnn_pipeline.tracking.store import Store
from tests.champion.retraining.stored import log_run
from tests.faults.commands import TINY_RUN, TINY_TRIALS, run_again, seconds_since
from tests.faults.promises import all_runs
from tests.recording import Recorded

TINY_RETRAIN = ("retrain", *TINY_RUN[1:])
SAMPLE = "fashion-mnist-sample"
MODEL = f"{SAMPLE}-cnn"

pytestmark = pytest.mark.slow


def content(home: Home) -> dict[str, bytes]:
    """Every file of a home with its bytes."""
    files = (path for path in home.root.rglob("*") if path.is_file())
    return {str(path.relative_to(home.root)): path.read_bytes() for path in files}


def with_champion(home: Home) -> None:
    """Make a champion of the sample's model that nobody has trained."""
    store = Store(home.database_uri, home.artifacts_uri)
    promoter = Promoter(store, home.state / "registry.lock", Journal.of(home))
    version = promoter.register(log_run(store, b"weights", dataset=SAMPLE), {})
    promoter.promote(version, "for the test", expected=None)


LOST: dict[str, Callable[[Home], object]] = {
    "zero bytes": lambda home: home.database.write_bytes(b""),
    "cut off": lambda home: os.truncate(home.database, home.database.stat().st_size // 2),
    "missing": lambda home: home.database.unlink(),
    "missing with its artifacts": lambda home: (
        home.database.unlink(),
        shutil.rmtree(home.artifacts),
    ),
}


# tests/tracking/test_intact.py has more of them, without processes.
IN_CI = {"zero bytes", "missing"}


@pytest.mark.parametrize(
    "how",
    [pytest.param(how, marks=() if how in IN_CI else pytest.mark.long) for how in LOST],
)
def test_a_lost_store_is_refused_and_restored(home: Home, recorded: Recorded, how: str) -> None:
    with_champion(home)
    whole = content(home)
    with recorded(fault=f"store: {how}", moment="between two commands", promises="I1 I2 I7") as row:
        LOST[how](home)
        before = content(home)
        begin = time.monotonic()
        for words in (TINY_RETRAIN, TINY_RUN, ("champion",)):
            status, said = run_again(home, *words)
            assert (status, said.count("error: ")) == (1, 1), said
            assert "Restore it from a backup" in said and "Traceback" not in said
        assert content(home) == before
        for name, written in whole.items():
            path = home.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(written)
        status, said = run_again(home, "champion", "--model", MODEL)
        assert status == 0 and f"{MODEL} version 1" in said, said
        row.recovered(seconds_since(begin))


def test_a_registry_that_is_empty_gets_no_first_champion(home: Home, recorded: Recorded) -> None:
    with_champion(home)
    with recorded(fault="registry is empty", moment="before a retraining", promises="I2 I7"):
        MlflowClient(home.database_uri).delete_registered_model(MODEL)
        runs = len(all_runs(home))
        status, said = run_again(home, *TINY_RETRAIN)
        assert status == 1, said
        assert f"{MODEL} must have a champion" in said and "version 1 was champion on" in said
        assert len(all_runs(home)) == runs  # nothing was trained
        assert MlflowClient(home.database_uri).search_registered_models() == []


def test_a_home_works_after_a_move_and_as_a_copy(
    home: Home, tmp_path: Path, recorded: Recorded
) -> None:
    status, said = run_again(home, *TINY_RUN)
    assert status == 0, said
    with recorded(fault="home is moved", moment="between two commands", promises="I1 I7") as row:
        moved = Home(tmp_path / "moved 100_percent")
        home.root.rename(moved.root)
        begin = time.monotonic()
        # Nothing is trained: the trials are found and verified where they are now.
        status, said = run_again(moved, *TINY_RUN)
        assert status == 0 and f"{moved.root} was moved or copied from {home.root}" in said, said
        row.recovered(seconds_since(begin))
        assert {run.info.run_name for run in all_runs(moved)} > TINY_TRIALS
        assert len(all_runs(moved)) == 1 + len(TINY_TRIALS)
        assert not home.root.exists()
        status, said = run_again(moved, "report", "--output", str(tmp_path / "report.html"))
        assert status == 0 and "was moved" not in said, said
    with recorded(fault="home is copied", moment="between two commands", promises="I1 I7"):
        copied = Home(tmp_path / "copied")
        shutil.copytree(moved.root, copied.root)
        before = content(moved)
        other = [{"2,3": "4"}.get(word, word) for word in TINY_RUN]
        status, said = run_again(copied, *other)
        assert status == 0 and f"copied from {moved.root}" in said, said
        assert "f4-max-s0" in {run.info.run_name for run in all_runs(copied)}
        status, said = run_again(copied, "doctor")
        assert "ok    records      3 finished trials verified" in said
        assert content(moved) == before


def test_variables_of_other_programs_and_a_dead_proxy_change_nothing(
    home: Home, recorded: Recorded
) -> None:
    nowhere = "http://127.0.0.1:9"
    shell = {
        "MLFLOW_RUN_ID": "0" * 32,
        "MLFLOW_EXPERIMENT_NAME": "other",
        "MLFLOW_EXPERIMENT_ID": "77",
        "MLFLOW_ACTIVE_MODEL_ID": "m-00000000000000000000000000000000",
        "MLFLOW_REGISTRY_URI": nowhere,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:////nowhere/prefect.db",
        "HTTP_PROXY": nowhere,
        "http_proxy": nowhere,
        "ALL_PROXY": nowhere,
        "NO_PROXY": "",
        "no_proxy": "",
    }
    with recorded(fault="shell of another program", moment="start", promises="I1 I7"):
        status, said = run_again(home, *TINY_RUN, **shell)
        assert status == 0, said
        assert {run.info.run_name for run in all_runs(home)} > TINY_TRIALS
        names = {one.name for one in MlflowClient(home.database_uri).search_experiments()}
        assert names - {"Default"} == {f"{SAMPLE}-cnn"}
