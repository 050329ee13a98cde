"""What is shown of a sweep with seeds 'auto': the round, who is in, the interval, the range."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from cnn_pipeline.base.events import Event, RoundEnded, RoundStarted, Stage, TrialReused
from cnn_pipeline.cli.forecast import SweepState
from cnn_pipeline.cli.progress import LiveProgress, PlainProgress
from cnn_pipeline.cli.screen import Screen
from cnn_pipeline.cli.snapshot import Snapshot
from tests.cli.rounds_script import (
    FIRST,
    ROUND_1,
    ROUND_2,
    ROUND_3,
    SECONDS,
    STARTED,
    THIRD,
    estimates,
    script,
)

END_OF_ROUND_1 = script().index(ROUND_1) + 1
END_OF_ROUND_2 = script().index(ROUND_2) + 1


def state_after(events: list[Event]) -> SweepState:
    state = SweepState(started=0.0)
    for event in events:
        state.apply(event, 0.0)
    return state


def lines(snapshot: Snapshot, width: int = 80, height: int | None = None) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    drawn = console.render_lines(Screen(snapshot, "q leaves.", height), pad=False)
    return ["".join(part.text for part in line).rstrip() for line in drawn]


def shown(count: int, width: int = 80, height: int | None = None) -> str:
    return "\n".join(lines(state_after(script()[:count]).snapshot(0.0), width, height))


def test_the_time_left_is_a_range_from_two_rounds_to_the_cap() -> None:
    state = state_after(script()[:1])
    each = sum(SECONDS.values())
    assert state.seconds_left(0.0) == pytest.approx(2 * each)
    assert state.seconds_left_at_most(0.0) == pytest.approx(5 * each)
    assert "0 % of 2 rounds, 0:00, 2:00 to 5:00 left" in shown(1)


def test_dropped_variants_are_no_longer_counted_in() -> None:
    state = state_after(script()[:END_OF_ROUND_2])
    assert state.seconds_left(0.0) == 0.0
    assert state.seconds_left_at_most(0.0) == pytest.approx(3 * (20 + 20))
    state = state_after(script()[: END_OF_ROUND_2 + 1])
    assert state.seconds_left(0.0) == pytest.approx(40)
    assert state.seconds_left_at_most(0.0) == pytest.approx(3 * 40)


@pytest.mark.parametrize("last", [ROUND_3, Stage("comparing")])
def test_after_the_last_round_no_time_is_left(last: Event) -> None:
    """Also if Ctrl-C has ended the rounds."""
    state = state_after([*script()[:-1], last])
    assert state.seconds_left_at_most(0.0) == state.seconds_left(0.0) == 0.0


def test_reused_trials_are_done_with_seeds_auto() -> None:
    state = state_after(
        [replace(STARTED, estimates={}), *(TrialReused(name, "r") for name in FIRST)]
    )
    assert state.done == 1.0
    state.apply(RoundStarted(3, estimates(THIRD), THIRD), 0.0)
    assert state.done == pytest.approx(120 / 160)


def test_after_one_round_the_screen_says_what_holds_for_these_networks() -> None:
    text = shown(END_OF_ROUND_1)
    assert "running, pets, 4 variants, round 2 of at most 5, 4 of 8 trials ended" in text
    assert "f8-none is best of these four networks." in text
    assert "interval" not in text and "Dropped" not in text


def test_the_screen_shows_who_is_in_and_how_the_interval_shrinks() -> None:
    text = shown(END_OF_ROUND_2 + 1)
    assert "round 3 of at most 5" in text
    assert re.search(r"^f4-max .* dropped$", text, re.M)
    assert re.search(r"^f8-max .* waiting$", text, re.M)
    assert "Dropped: f4-max, f4-none after round 2." in text
    assert "f8-none leads by 0.50 points." in text
    text = shown(len(script()))
    bars = [line for line in text.splitlines() if re.match(r"round \d  ", line)]
    assert [bar.split("  ")[-1].strip() for bar in bars] == [
        "+0.50 (-1.20 to +2.20)",
        "+0.40 (-0.60 to +1.40)",
    ]
    wide, narrow = (bar.index("┤") - bar.index("├") for bar in bars)
    assert narrow < wide
    # The first interval reaches beyond the margin, the second one does not.
    assert [bar.index("┊") < bar.index("├") for bar in bars] == [False, True]
    assert bars[0].index("│") == bars[1].index("│")
    assert "round 3 of at most 5" in text  # it was the last


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 20), (120, 40)])
def test_it_fits_the_screen(width: int, height: int) -> None:
    for count in range(1, len(script()) + 1):
        drawn = lines(state_after(script()[:count]).snapshot(0.0), width, height)
        assert len(drawn) <= height
        assert max(map(len, drawn)) <= width
        assert drawn[-1] == "q leaves."


def test_without_unicode_the_bars_are_ascii() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(width=80, file=stream).print(Screen(state_after(script()).snapshot(0.0)), crop=False)
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    assert re.search(r"round 3 .*:.*<-+\|-+o-+>", stream.buffer.getvalue().decode("ascii"))


def test_a_dropped_variant_does_not_lead() -> None:
    state = state_after(script()[:END_OF_ROUND_2])
    low = RoundEnded(2, ("f4-max", "f4-none"), {"f8-max": "", "f8-none": ""}, "an answer")
    state.rounds[-1] = low
    leader = state.snapshot(0.0).leader
    assert leader is not None and (leader.variant, leader.of) == ("f4-none", 2)


def test_plain_lines_tell_each_round() -> None:
    stream = io.StringIO()
    plain = PlainProgress(stream, lambda: 0.0, concludes=True)
    for event in script():
        plain(event)
    told = [line for line in stream.getvalue().splitlines() if "finished" not in line]
    assert told == [
        "[0:00] grid-1: at least 8 trials, 2:00 to 5:00 left",
        "[0:00] round 1 ended: f8-none is best of these four networks.",
        "[0:00] Ctrl-C: conclude with what is there; twice: stop.",
        "[0:00] round 2 ended: f8-none leads by 0.50 points.",
        "[0:00] f4-max: dropped after round 2: 4.00 points behind",
        "[0:00] f4-none: dropped after round 2: 3.00 points behind",
        "[0:00] round 3: 2 trials, 0:40 to 2:00 left",
        "[0:00] round 3 ended: f8-none leads by 0.40 points.",
    ]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("concludes", [False, True])
def test_a_terminal_keeps_the_lines_of_the_rounds(full: bool, concludes: bool) -> None:
    """And says what Ctrl-C does: it does not conclude a retraining."""
    stream = io.StringIO()
    console = Console(file=stream, width=120, height=40, force_terminal=True, color_system=None)
    with LiveProgress(console, lambda: 0.0, full=full, concludes=concludes) as live:
        live(script()[0])
        console.print(live)
        assert "Ctrl-C: conclude" not in stream.getvalue()  # no round is complete yet
        for event in script()[1:-1]:
            live(event)
        console.print(live)
        live(script()[-1])
    text = stream.getvalue()
    assert "round 3 ended: f8-none leads by 0.40 points.\n" in text
    assert ("Ctrl-C: conclude with what is there; twice: stop." in text) == concludes
    assert ("┤" in text) == full


def test_a_sweep_whose_first_rounds_are_reused_fills_the_screen_later() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=120, height=40, force_terminal=True, color_system=None)
    started, third = script()[0], script()[END_OF_ROUND_2]
    assert isinstance(third, RoundStarted)
    with LiveProgress(console, lambda: 0.0, full=True) as live:
        live(type(started)(**{**started.__dict__, "estimates": {}}))
        assert "\x1b[?1049h" not in stream.getvalue()
        live(third)
        assert "\x1b[?1049h" in stream.getvalue()


def test_a_round_that_is_reused_says_so() -> None:
    stream = io.StringIO()
    plain = PlainProgress(stream, lambda: 0.0)
    plain(replace(STARTED, estimates={}))
    plain(RoundStarted(3, {}, THIRD))
    assert stream.getvalue().splitlines() == [
        "[0:00] grid-1: none to train",
        "[0:00] round 3: 2 trials, none to train",
    ]
