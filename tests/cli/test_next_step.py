"""The next step after a sweep, and its price."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cnn_pipeline.cli.next_step import Asked, more_time, next_step
from cnn_pipeline.comparison.compare import compare
from cnn_pipeline.comparison.rounds import Rounds, decide_rounds
from cnn_pipeline.comparison.types import SweepInfo
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.network.results import TrialResult

LABELS = ("f16-max", "f16-none", "f32-max", "f32-none", "f64-max", "f64-none")
# Behind the best one by 1.87 to 0 points, as the README's six variants.
MEANS = dict(zip(LABELS, (0.891, 0.8976, 0.9007, 0.9066, 0.9017, 0.9097), strict=True))
SECONDS = 60.0
ASKED = Asked("cnn-pipeline", {}, "", workers=1)


def score(label: str, seed: int) -> float:
    """With a spread of about 0.4 points over seeds."""
    return MEANS[label] + 0.005 * ((7 * LABELS.index(label) + 5 * seed) % 4 - 1.5) / 1.5


def result(label: str, seed: int) -> TrialResult:
    metrics = {"val_accuracy_final": score(label, seed), "train_seconds": SECONDS * 0.9}
    return TrialResult(
        name=f"{label}-s{seed}",
        label=label,
        seed=seed,
        run_id="r",
        status="FINISHED",
        metrics={**metrics, "test_accuracy": score(label, seed)},
    )


def outcome(rounds: Rounds | None, seeds: int) -> Outcome:
    results = tuple(result(label, seed) for seed in range(seeds) for label in LABELS)
    info = SweepInfo("grid-1", "grid", "pets", num_test=1000)
    comparison = compare(results, {}, num_validation=5000, sweep=info)
    return Outcome("grid-1", "1", "p", results, replace(comparison, rounds=rounds))


def decided(margin: float, rounds: int, num_validation: int = 5000) -> Rounds:
    """What the rule says after so many rounds."""
    scores: dict[tuple[str, int], float | None] = {
        (label, seed): score(label, seed) for label in LABELS for seed in range(rounds)
    }
    return decide_rounds(LABELS, range(10), scores, margin=margin, num_validation=num_validation)


def minutes(text: str) -> int:
    (number,) = (int(word) for word in text.split() if word.isdigit())
    return number


def test_a_decided_sweep_ends_with_a_finer_margin_and_its_price() -> None:
    rounds = decided(1.0, 9)
    assert rounds.status == "decided"
    made = outcome(rounds, rounds.rounds)
    why, command, price = next_step(made, ASKED).splitlines()
    assert why == "  to decide within 0.5 points:"
    assert command == "    cnn-pipeline run --decide 0.5"
    assert price.endswith(" more minutes; nothing is trained twice)")
    assert 1 < minutes(price) <= 6 * 8  # no more than all variants in all further rounds
    two = next_step(made, replace(ASKED, workers=2)).splitlines()[-1]
    assert minutes(two) < minutes(price)


def test_the_users_own_flags_are_repeated() -> None:
    given = {
        "recipe": "steady",
        "epochs": "3",
        "sweep": "my file.toml",
        "decide": "1",
        "filters": "16,32",
    }
    asked = replace(ASKED, given=given, rest=" --workers 2 --home /x")
    command = next_step(outcome(decided(1.0, 9), 9), asked).splitlines()[1].strip()
    assert command == (
        "cnn-pipeline run --sweep 'my file.toml' --recipe steady --filters 16,32 --decide 0.5 "
        "--epochs 3 --workers 2 --home /x"
    )


def test_nothing_finer_is_promised_than_the_validation_images_allow() -> None:
    rounds = decided(0.5, 40)
    assert next_step(outcome(replace(rounds, status="decided"), rounds.rounds), ASKED) == ""
    coarse = decided(2.0, 9, num_validation=1250)
    assert coarse.status == "decided"
    assert "to decide within 1 point:" in next_step(outcome(coarse, coarse.rounds), ASKED)


def test_a_stopped_sweep_goes_on_by_the_same_command() -> None:
    rounds = decided(0.5, 2)
    assert rounds.status == "open"
    step = next_step(outcome(rounds, 2), replace(ASKED, given={"decide": "0.5"}))
    assert step.startswith("  to go on until it is decided within 0.5 points:\n")
    assert "    cnn-pipeline run --decide 0.5" in step


def test_after_one_round_the_price_is_that_of_one_more() -> None:
    rounds = decided(1.0, 1)
    price = next_step(outcome(rounds, 1), ASKED).splitlines()[-1]
    assert price == "    (about 6 more minutes at least; nothing is trained twice)"


def test_a_sweep_at_its_cap_gets_more_rounds() -> None:
    rounds = replace(decided(0.2, 3), status="not decided", max_rounds=3)
    assert " --max-rounds " in next_step(outcome(rounds, 3), ASKED).splitlines()[1]


def test_one_variant_that_is_left_needs_no_step() -> None:
    rounds = decided(1.0, 9)
    last = replace(rounds.looks[-1], runner_up=None)
    alone = replace(rounds, looks=(*rounds.looks[:-1], last))
    assert next_step(outcome(alone, alone.rounds), ASKED) == ""


def test_measured_seconds_are_those_of_the_whole_trial() -> None:
    rounds = decided(1.0, 9)
    made = outcome(rounds, rounds.rounds)
    slow = replace(ASKED, took={one.name: 10 * SECONDS for one in made.results})
    assert minutes(next_step(made, slow)) == 10 * minutes(next_step(made, ASKED))


def test_networks_with_one_seed_can_get_more() -> None:
    why, command, price = next_step(outcome(None, 1), ASKED).splitlines()
    assert why == "  to compare the settings, not only these networks:"
    assert command == "    cnn-pipeline run --add-seeds 2 grid-1"
    assert price == "    (about 12 more minutes; nothing is trained twice)"
    assert next_step(outcome(None, 2), ASKED) == ""
    searched = replace(ASKED, search=" --search tpe", rest=" --home h")
    assert next_step(outcome(None, 1), searched).splitlines()[1] == f"{command} --home h"
    assert searched.again() == "cnn-pipeline run --search tpe --home h"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "about 1 more second"),
        (40, "about 40 more seconds"),
        (89, "about 89 more seconds"),
        (91, "about 2 more minutes"),
        (480, "about 8 more minutes"),
        (3 * 3600, "about 3 more hours"),
    ],
)
def test_the_price_in_words(seconds: float, words: str) -> None:
    assert more_time(seconds) == words
