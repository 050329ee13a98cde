"""The networks that a retraining trains."""

from __future__ import annotations

from cnn_pipeline.champion.retraining.candidates import candidate_sweep, with_seeds
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.settings.trial import Training, Trial, Variant

SWEEP = Sweep(
    name="two", axes=Axes(filters=(8, 16)), seeds=(0, 1), training=Training(epochs=3, threads=2)
)


def trial(variant: Variant, training: Training) -> Trial:
    return Trial(variant=variant, training=training, seed=5, label=variant.name)


def test_without_a_champion_the_sweep_is_as_configured() -> None:
    assert candidate_sweep(SWEEP, None) == SWEEP


def test_the_champions_network_and_training_are_added_with_the_sweeps_seeds() -> None:
    champion = trial(Variant(filters=32), Training(epochs=7, threads=4))
    sweep = candidate_sweep(SWEEP, champion)
    assert sweep.labels == ("f8-max", "f16-max", "f32-max")
    assert sweep.seeds == (0, 1)
    added = [item for item in sweep.trials() if item.label == "f32-max"]
    assert {item.training for item in added} == {Training(epochs=7, threads=2)}
    assert [item for item in sweep.trials() if item.label != "f32-max"] == list(SWEEP.trials())


def test_a_champion_that_is_in_the_sweep_is_not_trained_twice() -> None:
    """Threads change the last bits, not the recipe."""
    champion = trial(Variant(filters=16), Training(epochs=3, threads=7))
    assert candidate_sweep(SWEEP, champion) == SWEEP


def test_a_champion_of_the_same_network_and_another_training_gets_a_name_of_its_own() -> None:
    champion = trial(Variant(filters=16), Training(epochs=9))
    sweep = candidate_sweep(SWEEP, champion)
    assert sweep.labels == ("f8-max", "f16-max", "champion-f16-max")


def test_a_champion_from_an_earlier_mixed_sweep_is_added_once_more_and_no_more() -> None:
    champion = trial(Variant(filters=16), Training(epochs=9, threads=2))
    mixed = candidate_sweep(SWEEP, champion)
    assert candidate_sweep(mixed, champion) == mixed


def test_a_single_candidate_gets_the_seeds_that_the_gate_needs() -> None:
    assert with_seeds(Sweep()).seeds == (0, 1, 2, 3, 4, 5)
    assert with_seeds(Sweep(seeds=(4,))).seeds == (4,)
    several = Sweep(axes=Axes(filters=(8, 16)))
    assert with_seeds(several) == several
