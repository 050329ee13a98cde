"""The picture of a sweep, drawn from snapshots without a terminal."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from cnn_pipeline.cli.grid import BARS, spark
from cnn_pipeline.cli.screen import Screen, answer_words
from cnn_pipeline.cli.snapshot import Snapshot, TrialSnapshot

PAGE = "http://127.0.0.1:5000/#/experiments/1/runs?viewStateShareKey=grid&compareRunsMode=CHART"


def trial(variant: str, seed: int, **fields: Any) -> TrialSnapshot:
    return TrialSnapshot(
        name=f"{variant}-s{seed}",
        variant=variant,
        seed=seed,
        **{"state": "waiting", **fields},
    )


def finished(variant: str, seed: int, score: float) -> TrialSnapshot:
    return trial(
        variant, seed, state="finished", curve=(score - 0.1, score), validation_accuracy=score
    )


def sweep(*trials: TrialSnapshot, **fields: Any) -> Snapshot:
    return Snapshot(sweep_id="grid-1", data="pets", **{"state": "running", **fields}, trials=trials)


ONE_OF_EACH = sweep(
    finished("f16-max", 0, 0.912),
    trial("f16-none", 0, state="reused", curve=(0.8, 0.9), validation_accuracy=0.9),
    trial("f32-max", 0, state="training", epoch=2, epochs=5, curve=(0.7,)),
    trial("f32-none", 0, state="failed", reason="loss became NaN\nin epoch 1"),
    trial("f64-max", 0, state="scoring", curve=(0.7, 0.8)),
    trial("f64-none", 0),
    done=0.4,
    seconds=192.0,
    seconds_left=130.0,
    page=PAGE,
)


def grid(variants: int, seeds: int, busy: int) -> Snapshot:
    """Trials by seed; those before `busy` have finished, two are training, the others wait."""
    names = [f"f{8 + number}-{'none' if number % 2 else 'max'}" for number in range(variants)]
    made = []
    for seed in range(seeds):
        for name in names:
            if len(made) < busy:
                made.append(finished(name, seed, 0.8 + 0.001 * len(made)))
            elif len(made) < busy + 2:
                made.append(trial(name, seed, state="training", epoch=1, epochs=12, curve=(0.5,)))
            else:
                made.append(trial(name, seed))
    return sweep(*made, done=0.5, seconds=60.0, seconds_left=60.0, page=PAGE)


def lines(snapshot: Snapshot, width: int, height: int | None = None) -> list[str]:
    """What is drawn; the whole screen if it has a height."""
    console = Console(width=width, file=io.StringIO(), color_system=None)
    drawn = console.render_lines(Screen(snapshot, "q leaves.", height), pad=False)
    return ["".join(part.text for part in line).rstrip() for line in drawn]


@pytest.mark.parametrize("width", [80, 120])
def test_each_state_has_a_word(width: int) -> None:
    """Colour says nothing that a word does not say."""
    text = "\n".join(lines(ONE_OF_EACH, width))
    assert "f16-max   ▅█       finished 0.912" in text
    for words in ("reused 0.900", "epoch 2/5", "failed", "scoring", "waiting"):
        assert words in text
    assert "running, pets, 6 variants x 1 seed, 3 of 6 trials ended (1 failed)" in text
    assert "40 %, 3:12, about 2:10 left" in text
    assert "f32-none-s0 failed: loss became NaN in epoch 1" in text
    assert "bars: validation accuracy after each epoch, ▁ 0.700 to █ 0.912" in text
    assert PAGE in "".join(lines(ONE_OF_EACH, width, 30))
    measured = ONE_OF_EACH.model_copy(update={"metric": "macro_f1"})
    assert "figures: validation macro F1; bars: validation acc" in "\n".join(lines(measured, width))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 20), (120, 40), (60, 15)])
@pytest.mark.parametrize("size", [(6, 3), (24, 3), (2, 12), (1, 1)])
def test_the_picture_fits_the_screen(width: int, height: int, size: tuple[int, int]) -> None:
    variants, seeds = size
    for busy in (0, variants, variants * seeds):
        drawn = lines(grid(variants, seeds, busy), width, height)
        assert len(drawn) <= height or height < 20
        assert max(map(len, drawn)) <= width
        if height >= 20:
            assert "q leaves." in drawn  # the last line: nothing was cut below


def test_what_is_cut_is_counted_and_what_trains_is_shown() -> None:
    text = "\n".join(lines(grid(24, 3, 12), 80, 24))
    assert text.count("epoch 1/12") == 2
    assert 0 < len(rows(text)) < 24
    assert f"... {24 - len(rows(text))} more variants" in text


def rows(text: str) -> list[str]:
    """The rows of the grid."""
    return [line for line in text.splitlines() if re.match(r"f\d+-(max|none)  ", line)]


def test_a_print_has_all_rows() -> None:
    stream = io.StringIO()
    Console(width=80, file=stream).print(Screen(grid(24, 3, 12)), crop=False)
    text = stream.getvalue()
    assert PAGE in text.splitlines()  # on one line, for scripts
    assert len(rows(text)) == 24
    assert "more variants" not in text


def test_many_seeds_move_along_with_the_training() -> None:
    text = "\n".join(lines(grid(2, 12, 16), 80, 24))
    assert text.count("epoch 1/12") == 2
    assert "seed 8" in text and "seed 0" not in text
    assert "more seeds" in text


def test_without_unicode_there_are_no_bars() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(width=80, file=stream).print(Screen(grid(2, 2, 2)), crop=False)
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    text = stream.buffer.getvalue().decode("ascii")
    assert "finished 0.800" in text and "bars:" not in text


def test_a_spark_line_shows_a_rise_and_keeps_the_last_epoch() -> None:
    assert spark([0.0, 0.5, 1.0], 0.0, 1.0, 8) == BARS[0] + BARS[4] + BARS[7]
    long = spark([number / 99 for number in range(100)], 0.0, 1.0, 8)
    assert long == BARS
    assert spark([0.5], 0.5, 0.5, 8) == BARS[7]
    assert spark([], 0.0, 1.0, 8) == ""


def test_the_answer_says_what_it_rests_on() -> None:
    assert answer_words(sweep(trial("a", 0))) == "No trial has finished yet."
    first = answer_words(sweep(finished("a", 0, 0.9), trial("b", 0)))
    assert first == "a has 90.0 % on validation images. No other variant has finished yet."
    two = answer_words(sweep(finished("a", 0, 0.9), finished("b", 0, 0.91)))
    assert two == (
        "b leads on validation images: 91.0 %, best of 2 variants so far. "
        "Differences are not tested yet."
    )
    tie = answer_words(sweep(finished("a", 0, 0.9), finished("b", 0, 0.9)))
    assert tie.startswith("a is level with others at the top on validation images")
    assert answer_words(sweep(verdict="b is better.", state="finished")) == "b is better."


def test_the_leader_is_compared_on_the_same_seeds() -> None:
    """A variant does not lead because its harder seed has not ended yet."""
    made = sweep(
        finished("a", 0, 0.90), finished("b", 0, 0.92), finished("a", 1, 0.99), trial("b", 1)
    )
    assert made.leader is not None
    assert (made.leader.variant, made.leader.seeds, made.leader.of) == ("b", 1, 2)
    both = sweep(*made.trials[:3], finished("b", 1, 0.80))
    assert both.leader is not None
    assert (both.leader.variant, both.leader.seeds) == ("a", 2)
    assert both.leader.validation_accuracy == pytest.approx(0.945)


def test_a_silent_sweep_says_so() -> None:
    text = " ".join(lines(sweep(trial("a", 0), silent_seconds=7200.0), 80))
    assert "Nothing was recorded for 2 h" in text and "doctor" in text
    assert "Nothing was" not in " ".join(lines(sweep(trial("a", 0), silent_seconds=60.0), 80))


def test_an_ended_sweep_shows_its_end() -> None:
    ended = sweep(
        finished("a", 0, 0.9), state="finished", seconds=65.0, verdict="a is better.", done=1.0
    )
    text = "\n".join(lines(ended, 80))
    assert "finished, took 1:05, pets, 1 variant x 1 seed, 1 of 1 trial ended" in text
    assert "left" not in text and "a is better." in text
    stopped = sweep(trial("a", 0), state="stopped", reason="KeyboardInterrupt")
    assert "KeyboardInterrupt" in lines(stopped, 80)
