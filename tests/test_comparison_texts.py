"""What is kept of a comparison is shown only while nothing has changed that it rests on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cnn_pipeline import comparison_texts, experiment, provenance
from cnn_pipeline.comparison import Comparison, compare, render
from cnn_pipeline.comparison.records import SweepInfo
from cnn_pipeline.comparison_texts import FORMS, comparison_text, keep_latest
from cnn_pipeline.errors import UserError
from cnn_pipeline.experiment import Outcome
from cnn_pipeline.paths import Home
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
            path.as_uri(): comparison_texts._digest(path.as_uri())
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
    monkeypatch.setattr(experiment, "read_comparison", made)
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


def test_other_code_or_libraries_compare_anew(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparison_text("table", None, reading.home)
    versions = {**provenance.versions(), "pandas": "99.0"}
    with monkeypatch.context() as patched:
        patched.setattr(provenance, "versions", lambda: versions)
        comparison_text("table", None, reading.home)
    with monkeypatch.context() as patched:
        patched.setattr(provenance, "code_digest", lambda: "other")
        comparison_text("table", None, reading.home)
    assert len(reading.asked) == 3


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


def test_a_store_that_does_not_answer_spoils_no_run(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StoreError("it must answer")

    monkeypatch.setattr(experiment, "read_comparison", refuse)
    keep_latest(reading.home)
    with pytest.raises(UserError, match="it must answer"):
        comparison_text("table", None, reading.home)


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
    experiment.load_comparison(None, home)
    assert home.database.read_bytes() == before, "what is kept would never be found again"
