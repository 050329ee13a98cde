"""From the store to the page: a real sweep, its runs and its data."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

from cnn_pipeline.base.errors import DataError, InvalidInput
from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.flags import sweep_from_flags
from cnn_pipeline.data.dataset import Dataset, load_dataset
from cnn_pipeline.experiment import report_data, stored
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.settings import command_line, named
from cnn_pipeline.settings.sweep import Axes, Entry, Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Variant
from cnn_pipeline.tracking.details import read_details
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import Store, open_store
from tests.comparison.report.html import Page
from tests.running import SAMPLE

GRIDS = {
    "named": named.pooling(),
    "default": Sweep(axes=Axes(filters=(16, 32, 64), pooling=("max", "none"))),
    "everything": Sweep(
        axes=Axes(filters=(8, 16), pooling=("max", "average"), dropout=(0.0, 0.5)),
        variant=Variant(kernel_size=5, batch_norm=True),
        seeds=(0, 2),
        training=Training(epochs=2, learning_rate=0.01, stop_at_accuracy=0.9),
        data=DataSettings(source="fashion-mnist-sample", validation_size=500, split_seed=3),
    ),
    "one variant": Sweep(variant=Variant(filters=8, dense_units=32), seeds=(4,)),
    "no pooling": Sweep(variant=Variant(filters=8, pooling="none")),
    "layers of their own": Sweep(
        variant=Variant(filters=(8, 16), conv_layers=2), axes=Axes(pooling=("max", "none"))
    ),
}


@pytest.mark.parametrize("name", GRIDS)
def test_the_command_of_a_grid_makes_the_same_trials(name: str) -> None:
    sweep = GRIDS[name]
    (line,) = command_line.sweep_commands(sweep)
    words = shlex.split(line)
    assert words[:2] == ["cnn-pipeline", "run"]
    flags = [word.removeprefix("--").replace("-", "_") for word in words[2::2]]
    values = dict(zip(flags, words[3::2], strict=True))
    again = sweep_from_flags(values)
    assert again.data == sweep.data
    assert [(t.variant, t.training, t.seed) for t in again.trials()] == [
        (t.variant, t.training, t.seed) for t in sweep.trials()
    ]


def test_a_named_sweep_is_run_again_by_its_name() -> None:
    assert command_line.sweep_commands(named.course_exercises()) == (
        "cnn-pipeline run --sweep course-exercises",
    )


def test_listed_variants_take_a_command_each() -> None:
    listed = Sweep(entries=(Entry(), Entry(variant=Variant(filters=8))), seeds=(0, 1))
    assert len(command_line.sweep_commands(listed)) == 4


@pytest.fixture(scope="module")
def logged(tiny: tuple[Home, Outcome], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page that the sweep itself wrote on its parent run."""
    home, outcome = tiny
    details = read_details(store(home), outcome.parent_run_id, files=["report.html"])
    return details.files["report.html"].decode()


def store(home: Home) -> Store:
    return open_store(home, {}, create=False)


@pytest.mark.slow
def test_a_real_sweep_has_its_report_on_the_parent_run(
    logged: str, tiny: tuple[Home, Outcome]
) -> None:
    page = Page(logged)
    titles = [said for level, said in page.headings if level == 2]
    assert titles[:3] == ["Answer", "Verdict", "Accuracy and cost"]
    assert {"Learning curves", "Confusions", "Mistakes", "Journey of the image"} <= set(titles)
    assert "f2-max-d16" in page.said and "diverging" in page.said
    assert "Another pair: cnn-pipeline report tiny-" in page.said
    assert "fashion-mnist-sample" in page.said and "train_limit" not in page.said
    assert len(logged.encode()) < 4_000_000


@pytest.mark.slow
def test_the_report_is_the_same_when_written_again(logged: str, tiny: tuple[Home, Outcome]) -> None:
    home, outcome = tiny
    assert stored.load_report(None, home) == logged
    assert stored.load_report(outcome.sweep_id, home) == logged


@pytest.mark.slow
def test_a_pair_is_checked_against_the_sweep(tiny: tuple[Home, Outcome]) -> None:
    home, _ = tiny
    asked = stored.load_report(None, home, ("f2-none-d16-do25", "f2-max-d16"))
    assert "Only f2-none-d16-do25 is right, not f2-max-d16" in Page(asked).said
    with pytest.raises(InvalidInput, match="'diverging'"):
        stored.load_report(None, home, ("f2-max-d16", "diverging"))


@pytest.mark.slow
def test_data_that_have_changed_are_not_shown(
    tiny: tuple[Home, Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = load_dataset(SAMPLE, tmp_path)
    other = Dataset(found.name, found.class_names, found.train, found.validation, found.test,
                    "0" * 64, found.source)  # fmt: skip
    monkeypatch.setattr(report_data, "load_dataset", lambda *_: other)
    said = Page(stored.load_report(None, tiny[0])).said
    assert said.count("The images cannot be shown: the data have changed since") == 2


@pytest.mark.slow
def test_data_that_cannot_be_had_are_explained(
    tiny: tuple[Home, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object) -> Dataset:
        raise DataError("no source answered.")

    monkeypatch.setattr(report_data, "load_dataset", nowhere)
    said = Page(stored.load_report(None, tiny[0])).said
    assert "The data set cannot be described: no source answered." in said
    assert "Learning curves" in said


@pytest.mark.slow
def test_details_hold_what_was_asked_for_and_is_there(tiny: tuple[Home, Outcome]) -> None:
    home, outcome = tiny
    run_id = next(result.run_id for result in outcome.results if result.finished)
    details = read_details(store(home), run_id, curves=["val_accuracy", "none"],
                           files=["config.json", "none.txt"])  # fmt: skip
    assert set(details.files) == {"config.json"}
    assert set(details.curves) == {"val_accuracy"}
    assert len(details.curves["val_accuracy"]) == 2
    assert all(0 < value < 1 for value in details.curves["val_accuracy"])
    assert details.tags["dataset"] == "fashion-mnist-sample"


@pytest.mark.slow
def test_the_answers_in_the_report_are_those_of_the_runs(tiny: tuple[Home, Outcome]) -> None:
    home, _ = tiny
    reader = Reader(store(home))
    record = reader.sweep(None)
    results = reader.trials(record)
    data = report_data.report_data(
        store(home), record, results, stored.load_comparison(None, home), home.root / "cache"
    )
    correct = reader.correct(results)
    shown = {trial.name: trial.answers for trial in data.trials if trial.answers is not None}
    assert set(shown) == set(correct)
    for name, answers in shown.items():
        np.testing.assert_array_equal(answers.correct, correct[name])
    assert data.images is not None and len(data.images) == record.num_test
    assert data.facts["started"].endswith("UTC")
