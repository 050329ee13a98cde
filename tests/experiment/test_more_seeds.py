"""More seeds for a sweep that was run."""

import pytest

from cnn_pipeline.base.errors import InvalidInput, UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.more_seeds import more_seeds, with_more_seeds
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.settings.trial import Training
from tests.experiment.scripted_store import ScriptedSweep

GRID = Sweep(name="grid", axes=Axes(filters=(4, 8)), seeds=(5, 1), training=Training(epochs=2))
AUTO = Sweep(name="auto", axes=Axes(filters=(4, 8)), decide=0.5)


def test_a_list_of_seeds_grows_by_the_next_ones() -> None:
    made = more_seeds(GRID, (), 3)
    assert made.seeds == (5, 1, 0, 2, 3)
    assert {trial.name for trial in GRID.trials()} < {trial.name for trial in made.trials()}
    assert made.model_copy(update={"seeds": GRID.seeds}) == GRID


def test_seeds_auto_become_the_list_of_those_that_were_trained_and_the_next() -> None:
    made = more_seeds(AUTO, (0, 1, 2), 2)
    assert made.seeds == (0, 1, 2, 3, 4)
    assert (made.labels, made.training) == (AUTO.labels, AUTO.training)


def test_too_many_seeds_are_refused() -> None:
    with pytest.raises(InvalidInput, match="seeds: must have at most 1000 values, received 1002"):
        more_seeds(GRID, (), 1000)


def test_the_seeds_of_a_stored_sweep_are_those_of_its_trials(home: Home) -> None:
    made = ScriptedSweep(home, AUTO, "auto-1")
    for trial in AUTO.trials((0, 1, 2)):
        if trial.name != "f4-max-s2":  # it was dropped
            made.end(trial, wrong=20)
    with pytest.raises(UserError, match=r"auto-1 is running. Wait for it"):
        with_more_seeds("auto-1", 1, home)
    made.finish()
    for word in ("auto-1", "auto", None):
        assert with_more_seeds(word, 2, home).seeds == (0, 1, 2, 3, 4)
    with pytest.raises(UserError, match=r"no sweep 'atuo'.*The nearest are: auto"):
        with_more_seeds("atuo", 1, home)
