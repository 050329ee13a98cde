"""What is kept of a comparison is shown only while nothing has changed that it rests on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import pytest

from cnn_pipeline.base import versions
from cnn_pipeline.base.home import Home
from cnn_pipeline.comparison import render
from cnn_pipeline.comparison.compare import compare
from cnn_pipeline.comparison.types import Comparison, SweepInfo
from cnn_pipeline.experiment import comparison_cache, stored
from cnn_pipeline.experiment.comparison_cache import FORMS, comparison_text, keep_latest
from cnn_pipeline.experiment.sweep_run import Outcome
from cnn_pipeline.tracking.store import StoreError

Change = Callable[["Reading"], None]


class Reading:
    """Stands where MLflow is read: counts, and can have somebody write meanwhile."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.asked: list[str | None] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.artifact = home.artifacts / "a run's" / "predictions.parquet"
        self.artifact.parent.mkdir(parents=True)
        self.artifact.write_bytes(b"answers")
        self.missing = home.artifacts / "missing.parquet"
        home.database.write_bytes(b"runs")

    def __call__(
        self, sweep_id: str | None, home: Home
    ) -> tuple[Comparison, Mapping[str, str | None]]:
        self.asked.append(sweep_id)
        digests = {
            path.as_uri(): comparison_cache._digest(path.as_uri())
            for path in (self.artifact, self.missing)
        }
        self.meanwhile()
        sweep = SweepInfo(
            sweep_id=sweep_id or "latest-1", name="pooling", dataset="fashion-mnist", num_test=1000
        )
        return compare([], {}, num_validation=500, sweep=sweep), digests


@pytest.fixture
def reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reading:
    made = Reading(Home(tmp_path))
    monkeypatch.setattr(stored, "read_comparison", made)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return made


def append(path: Path, content: bytes) -> None:
    path.write_bytes(path.read_bytes() + content)


def test_a_second_question_reads_no_runs_and_is_answered_alike(reading: Reading) -> None:
    first = {form: comparison_text(form, None, reading.home) for form in FORMS}
    again = {form: comparison_text(form, "latest-1", reading.home) for form in FORMS}
    assert reading.asked == [None]
    assert again == first
    assert json.loads(first["json"])["sweep"]["sweep_id"] == "latest-1"
    assert first["table"].startswith("Sweep latest-1")


CHANGES: dict[str, Change] = {
    "a run": lambda r: append(r.home.database, b"!"),
    "a transaction that is not ended": lambda r: append_new(r.home.mlruns / "mlflow.db-journal"),
    "a log that is not in the database": lambda r: append_new(r.home.mlruns / "mlflow.db-wal"),
    "an artifact": lambda r: append(r.artifact, b"!"),
    "an artifact that goes": lambda r: r.artifact.unlink(),
    "an artifact that comes": lambda r: append_new(r.missing),
}


def append_new(path: Path) -> None:
    path.write_bytes(b"new")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_in_the_store_is_read(change: Change, reading: Reading) -> None:
    comparison_text("table", None, reading.home)
    change(reading)
    comparison_text("table", None, reading.home)
    assert reading.asked == [None, None]


VERSIONS = {**versions.versions(), "pandas": "99.0"}


@pytest.mark.parametrize(
    ("where", "name", "answer"),
    [
        (versions, "versions", lambda: VERSIONS),
        (versions, "code_digest", lambda: "other code"),
        (importlib.metadata, "version", lambda package: "99.0"),
    ],
    ids=["library", "code", "pyarrow"],
)
def test_other_code_or_libraries_compare_anew(
    where: ModuleType,
    name: str,
    answer: Callable[..., object],
    reading: Reading,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    comparison_text("table", None, reading.home)
    monkeypatch.setattr(where, name, answer)
    comparison_text("table", None, reading.home)
    assert reading.asked == [None, None]


def test_another_sweep_is_read_and_then_not_taken_for_the_latest(reading: Reading) -> None:
    comparison_text("table", None, reading.home)
    for _ in range(2):
        assert comparison_text("table", "older", reading.home).startswith("Sweep older")
    assert comparison_text("table", None, reading.home).startswith("Sweep latest-1")
    assert reading.asked == [None, "older", None]


def test_what_is_read_while_somebody_writes_is_not_kept(reading: Reading) -> None:
    reading.meanwhile = lambda: append(reading.home.database, b"!")
    comparison_text("table", None, reading.home)
    reading.meanwhile = lambda: None
    comparison_text("table", None, reading.home)
    assert reading.asked == [None, None]
    comparison_text("table", None, reading.home)
    assert reading.asked == [None, None]


def test_another_store_is_always_asked(reading: Reading, monkeypatch: pytest.MonkeyPatch) -> None:
    comparison_text("table", None, reading.home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    comparison_text("table", None, reading.home)
    keep_latest(reading.home)
    assert reading.asked == [None, None]


def test_a_damaged_copy_is_not_believed(reading: Reading) -> None:
    comparison_text("table", None, reading.home)
    (kept,) = (reading.home.state / "made").iterdir()
    append(kept, b" ")
    comparison_text("table", None, reading.home)
    assert reading.asked == [None, None]


def test_the_latest_is_kept_ahead_once(reading: Reading) -> None:
    keep_latest(reading.home)
    keep_latest(reading.home)
    comparison_text("csv", None, reading.home)
    assert reading.asked == [None]


@pytest.mark.parametrize("fault", [StoreError, OSError, KeyError])
def test_what_cannot_be_read_spoils_no_run_and_is_told_who_asks(
    fault: type[Exception], reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise fault("it must answer")

    monkeypatch.setattr(stored, "read_comparison", refuse)
    keep_latest(reading.home)
    with pytest.raises(fault, match="it must answer"):
        comparison_text("table", None, reading.home)


@pytest.mark.parametrize("url", [None, "s3://bucket/sweep.json", "mlflow-artifacts:/sweep.json"])
def test_nothing_is_kept_that_rests_on_no_file_or_on_one_elsewhere(
    url: str | None, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = reading(None, reading.home)[0]
    digests = {} if url is None else {url: None}
    monkeypatch.setattr(stored, "read_comparison", lambda *_: (made, digests))
    comparison_text("table", None, reading.home)
    assert not (reading.home.state / "made").exists()


def test_a_database_behind_a_link_is_watched_where_it_lies(reading: Reading) -> None:
    elsewhere = reading.home.root / "elsewhere.db"
    reading.home.database.rename(elsewhere)
    reading.home.database.symlink_to(elsewhere)
    comparison_text("table", None, reading.home)
    comparison_text("table", None, reading.home)
    assert reading.asked == [None]
    append_new(elsewhere.with_name("elsewhere.db-wal"))
    comparison_text("table", None, reading.home)
    assert reading.asked == [None, None]


def test_a_real_sweep_is_shown_from_what_was_kept_without_mlflow(
    tiny: tuple[Home, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, outcome = tiny
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    keep_latest(home)
    code = (
        "import sys\n"
        "from cnn_pipeline.cli.app import status_of\n"
        "status = status_of(['compare', '--home', sys.argv[1]])\n"
        "loaded = {'mlflow', 'pandas', 'scipy', 'tensorflow', 'prefect'} & set(sys.modules)\n"
        "print(*sorted(loaded), file=sys.stderr)\n"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(home.root)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stderr.split() == []
    assert done.stdout == render.to_text(outcome.comparison)
    before = home.database.read_bytes()
    _, artifacts = stored.read_comparison(None, home)
    assert home.database.read_bytes() == before, "what is kept would never be found again"
    trained = [result for result in outcome.results if result.finished]
    assert len(artifacts) == 1 + len(trained) and None not in artifacts.values()
    for run_id, name in [
        (outcome.parent_run_id, "sweep.json"),
        *((result.run_id, "predictions.parquet") for result in trained),
    ]:
        (digest,) = (artifacts[url] for url in artifacts if f"/{run_id}/" in url and name in url)
        (file,) = home.artifacts.glob(f"*/{run_id}/artifacts/{name}")
        assert digest == hashlib.sha256(file.read_bytes()).hexdigest()
