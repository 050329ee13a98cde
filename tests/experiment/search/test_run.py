"""A search that trains: it goes on after a stop, and its best are compared with fresh seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnn_pipeline.base import events
from cnn_pipeline.base.home import Home
from cnn_pipeline.comparison.search import flattered, sentences
from cnn_pipeline.experiment.run import run_sweep
from cnn_pipeline.experiment.search.run import fresh_sweep, run_search
from cnn_pipeline.experiment.search.space import Range, Search
from cnn_pipeline.experiment.stored import load_report
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import open_store
from tests.running import QUICK, one_trial

pytest.importorskip("optuna")
pytestmark = pytest.mark.slow

AXES = {
    "filters": Range(2, 6, whole=True),
    "learning_rate": Range(1e-4, 1e-2, whole=False),
}
SEARCH = Search("tpe", 6, 1000, AXES)
# Seeds are listed, so that the comparison takes one round.
BASE = one_trial().model_copy(update={"seeds": (0, 1)})


class Listener:
    """Keeps what is told, and stops the search when it has chosen `stop_at` times."""

    def __init__(self, stop_at: int = 0) -> None:
        self.trained: list[str] = []
        self.continued: list[str] = []
        self._left = stop_at

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.TrialEnded(trial):
                self.trained.append(trial)
            case events.SweepContinued(sweep_id):
                self.continued.append(sweep_id)
            case events.TrialsChosen():
                self._left -= 1
                if self._left == 0:
                    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("search"))


def test_a_stopped_search_goes_on_and_its_best_are_compared(home: Home) -> None:
    first = Listener(stop_at=2)
    with pytest.raises(KeyboardInterrupt), events.listening(first):
        run_search(SEARCH, BASE, home, workers=2)
    assert len(first.trained) == 4  # two generations of two

    second = Listener()
    with events.listening(second):
        found = run_search(SEARCH, BASE, home, workers=2)
    assert len(second.trained) == 2 and not set(second.trained) & set(first.trained)
    assert second.continued == [found.record.sweep_id]
    assert (found.record.trials, found.record.trainings, found.record.failed) == (6, 6, 0)
    assert [one.name for one in found.best] == list(found.record.scores)[:3]
    reader = Reader(open_store(home, {}))
    record = reader.sweep(found.record.sweep_id)
    assert record.status == "FINISHED"
    assert {one.seed for one in reader.trials(record)} == {1000}
    assert {one.label for one in reader.trials(record)} == set(found.record.scores)

    third = Listener()
    with events.listening(third):
        assert run_search(SEARCH, BASE, home, workers=2) == found
    assert third.trained == []

    sweep = fresh_sweep(BASE, SEARCH, found)
    outcome = run_sweep(sweep, home, workers=2, search=found.record.sweep_id)
    assert outcome.ok
    rows = flattered(found.record, outcome.comparison)
    assert [row.label for row in rows] == [one.name for one in found.best]
    assert all(row.seeds == 2 for row in rows)
    assert reader.tags(outcome.parent_run_id)["search"] == found.record.sweep_id
    page = load_report(outcome.sweep_id, home)
    assert 'id="search"' in page
    assert sentences(found.record, outcome.comparison)[0].split(" (")[0] in page


def test_hyperband_trains_few_epochs_first(home: Home, tmp_path: Path) -> None:
    base = BASE.model_copy(update={"training": QUICK.model_copy(update={"epochs": 3})})
    search = Search("hyperband", 4, 1000, AXES)
    found = run_search(search, base, home, workers=2)
    # Three for an epoch, the best of them for three, and the fourth for three.
    reader = Reader(open_store(home, {}))
    labels = [one.label for one in reader.trials(reader.sweep(found.record.sweep_id))]
    assert sum(label.endswith("-e1") for label in labels) == 3
    assert (found.record.trials, found.record.trainings) == (4, 5)
    assert len(found.record.scores) == 2
    assert not any("-e1" in label for label in found.record.scores)
