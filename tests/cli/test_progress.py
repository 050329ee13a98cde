"""The progress display of a running sweep."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from cnn_pipeline.base.events import (
    DataWarning,
    Delay,
    DownloadProgress,
    Event,
    PreparationProgress,
    Stage,
    SweepContinued,
    SweepStarted,
    TrialAwaited,
    TrialEnded,
    TrialNote,
    TrialPhase,
    TrialProgress,
    TrialReused,
    emit,
)
from cnn_pipeline.cli.forecast import SweepState
from cnn_pipeline.cli.progress import (
    Clock,
    LiveProgress,
    PlainProgress,
    progress_on,
)
from cnn_pipeline.cli.progress_text import accuracies
from cnn_pipeline.cli.small_picture import picture


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def script() -> list[Event]:
    """Two trials, the second of which fails."""
    return [
        Stage("fetching fashion-mnist"),
        DownloadProgress("train-images", "GitHub", 0, 26_000_000),
        DownloadProgress("train-images", "GitHub", 26_000_000, 26_000_000),
        SweepStarted("sweep-1", {"f16-max-s0": 10.0, "f16-none-s0": 10.0}, 1),
        TrialPhase("f16-max-s0", "training"),
        TrialProgress("f16-max-s0", 0, 2, 0, 200),
        TrialProgress("f16-max-s0", 0, 2, 100, 200, {"accuracy": 0.81, "val_accuracy": 0.79}),
        TrialProgress("f16-max-s0", 1, 2, 150, 200),
        TrialProgress("f16-max-s0", 1, 2, 200, 200, {"accuracy": 0.86, "val_accuracy": 0.85}),
        TrialEnded(
            "f16-max-s0", "FINISHED", 9.0, "",
            {"accuracy": 0.86, "val_accuracy_final": 0.85, "test_accuracy": 0.84},
        ),
        TrialPhase("f16-none-s0", "training"),
        TrialEnded("f16-none-s0", "FAILED", 2.0, "loss became NaN\nin epoch 1"),
        Stage("comparing"),
    ]  # fmt: skip


def ticking() -> Iterator[float]:
    second = 0.0
    while True:
        yield second
        second += 1.0


def plain(events: list[Event]) -> list[str]:
    stream, clock = io.StringIO(), ticking()
    show = PlainProgress(stream, lambda: next(clock))
    for event in events:
        show(event)
    return stream.getvalue().splitlines()


def test_plain_lines_tell_every_epoch_and_every_trial() -> None:
    lines = plain(script())
    assert lines[:3] == [
        "[0:01] fetching fashion-mnist",
        "[0:02] fetching train-images from GitHub",
        "[0:04] sweep-1: 2 trials, about 0:20 left",
    ]
    assert lines[3] == "[0:05] f16-max-s0: training"
    assert lines[4].startswith(
        "[0:07] f16-max-s0: epoch 1/2, train 0.810, val 0.790, 100 images/s, about 0:"
    )
    assert lines[5].startswith("[0:09] f16-max-s0: epoch 2/2, train 0.860, val 0.850, ")
    assert lines[6].startswith(
        "[0:10] f16-max-s0: finished in 0:09, val 0.850, test 0.840 (1 of 2), about 0:"
    )
    assert lines[8].startswith(
        "[0:12] f16-none-s0: failed in 0:02: loss became NaN in epoch 1 (2 of 2), about 0:00"
    )
    assert lines[9] == "[0:13] comparing"
    assert len(lines) == 10


def test_epochs_of_one_second_share_one_calculation_of_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(
        SweepState, "left_text", lambda _, now: asked.append(now) or f"left at {now}"
    )
    stream, now = io.StringIO(), 0.0
    show = PlainProgress(stream, lambda: now)
    for second in (5.0, 5.4, 6.1):
        now = second
        show(TrialProgress("f16-max-s0", 0, 9, 100, 900, {"accuracy": 0.8, "val_accuracy": 0.8}))
    assert asked == [5.0, 6.1]
    assert stream.getvalue().splitlines()[1].endswith("left at 5.0")


def test_pictures_are_counted_while_they_are_prepared() -> None:
    stages = [Stage("loading photos"), *(PreparationProgress(n, 900) for n in range(0, 901, 100))]
    assert plain(stages) == [
        "[0:01] loading photos",
        "[0:02] 0 of 900 pictures are prepared",
        "[0:07] 500 of 900 pictures are prepared",
        "[0:11] 900 of 900 pictures are prepared",
    ]
    state = SweepState(0.0)
    state.apply(stages[0], 1.0)
    for event in stages[1:4]:
        state.apply(event, 2.0)
        shown = io.StringIO()
        Console(file=shown, width=80).print(picture(state, 2.0))
        assert f"{event.done:,}/900" in shown.getvalue()
    state.apply(stages[-1], 3.0)
    assert state.pictures is None


def test_a_trial_that_goes_on_says_so_and_its_speed_is_that_of_now() -> None:
    trial = "f16-max-s0"
    lines = plain(
        [
            SweepStarted("sweep-1", {trial: 10.0}, 1),
            TrialNote(trial, "goes on after epoch 1 of 2"),
            TrialProgress(trial, 0, 2, 1000, 2000),
            TrialProgress(trial, 0, 2, 1000, 2000, {"accuracy": 0.81, "val_accuracy": 0.79}),
            TrialProgress(trial, 1, 2, 2000, 2000, {"accuracy": 0.86, "val_accuracy": 0.85}),
        ]
    )
    assert lines[1] == "[0:02] f16-max-s0: goes on after epoch 1 of 2"
    assert "epoch 1/2, train 0.810, val 0.790, about" in lines[2]
    assert "epoch 2/2, train 0.860, val 0.850, 500 images/s" in lines[3]


def test_plain_lines_have_no_colour_and_fit(capsys: pytest.CaptureFixture[str]) -> None:
    for line in plain(script()):
        assert "\x1b" not in line
        assert len(line) <= 100


def drawn(events: list[Event], width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    show = LiveProgress(console, iter_clock())
    for event in events:
        show(event)
    with console.capture() as capture:
        console.print(picture(show._state, 9.0))
    return capture.get()


def iter_clock() -> Clock:
    clock = ticking()
    return lambda: next(clock)


def test_the_live_picture_shows_what_runs_and_what_is_left() -> None:
    text = drawn(script()[:8])
    running, overall = text.splitlines()
    assert running.startswith("f16-max-s0 epoch 2/2 ")
    assert "train 0.810, val 0.790" in running and "images/s" in running
    assert overall.startswith("sweep 0/2 ") and "left" in overall


def test_the_live_picture_shows_a_download() -> None:
    text = drawn(script()[:2])
    assert "fetching fashion-mnist" in text
    assert "train-images" in text and "0.0/26.0 MB GitHub" in text


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_live_picture_fits(width: int) -> None:
    for count in range(len(script()) + 1):
        assert all(len(line) <= width for line in drawn(script()[:count], width).splitlines())


def test_on_a_terminal_ended_trials_stay_above(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    with progress_on(terminal):
        for event in script():
            emit(event)
    text = terminal.getvalue()
    assert text.count("finished in 0:09, val 0.850, test 0.840\n") == 1
    assert text.count("failed in 0:02: loss became NaN in epoch 1\n") == 1
    assert "\x1b[?25l" in text and "\x1b[?25h" in text  # the cursor is hidden, then shown again
    assert "\x1b[32m" not in text and "\x1b[31m" not in text


def test_colour_is_there_unless_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    terminal = Terminal()
    with progress_on(terminal):
        emit(script()[3])
        emit(script()[9])
    assert "\x1b[32m" in terminal.getvalue()


@pytest.mark.parametrize(("stream", "term"), [(io.StringIO(), "xterm"), (Terminal(), "dumb")])
def test_elsewhere_there_are_plain_lines(
    stream: io.StringIO, term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    with progress_on(stream):
        emit(Stage("comparing"))
    emit(Stage("after the end"))
    assert stream.getvalue() == "[0:00] comparing\n"


def test_the_display_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with pytest.raises(RuntimeError), progress_on(terminal):
        raise RuntimeError
    assert "\x1b[?25h" in terminal.getvalue()


def test_accuracies_shows_those_that_are_there() -> None:
    assert accuracies({}) == ""
    assert accuracies({"loss": 1.0, "accuracy": 0.5}) == "train 0.500"
    assert accuracies({}, "macro_f1") == ""


def test_figures_have_their_name_where_another_metric_decides() -> None:
    scores = {"val_accuracy_final": 0.9, "val_balanced_accuracy": 0.36}
    lines = plain(
        [
            SweepStarted("sweep-1", {"a-s0": 10.0}, 1, metric="balanced_accuracy"),
            TrialPhase("a-s0", "training"),
            TrialProgress("a-s0", 0, 1, 200, 200, {"accuracy": 0.81, "val_accuracy": 0.79}),
            TrialEnded("a-s0", "FINISHED", 9.0, "", {**scores, "test_balanced_accuracy": 0.3}),
        ]
    )
    assert "accuracy: train 0.810, val 0.790" in lines[2]
    assert "finished in 0:09, balanced accuracy: val 0.360, test 0.300 (1 of 1)" in lines[3]


def test_reused_trials_are_shown_but_not_counted() -> None:
    events = [
        SweepStarted("sweep-1", {"f16-max-s0": 10.0}, 1),
        TrialReused("f16-none-s0", "4f1c"),
        TrialEnded("f16-max-s0", "FINISHED", 9.0),
    ]
    stream = io.StringIO()
    plain = PlainProgress(stream, lambda: 0.0)
    terminal = Terminal()
    with LiveProgress(Console(file=terminal, width=120), lambda: 0.0) as live:
        for event in events:
            plain(event)
            live(event)
    lines = stream.getvalue().splitlines()
    assert lines[1] == "[0:00] f16-none-s0: reused from run 4f1c"
    assert "(1 of 1)" in lines[2]
    assert "f16-none-s0: reused from run 4f1c" in terminal.getvalue()


def test_what_is_doubtful_about_the_data_is_printed_and_stays() -> None:
    event = DataWarning("1 class (bag) without a test image: its accuracy is not measured")
    assert plain([event]) == [f"[0:01] warning: {event.text}"]
    terminal = Terminal()
    with LiveProgress(Console(file=terminal, width=120), lambda: 0.0) as live:
        live(event)
    assert "without a test image: its accuracy" in terminal.getvalue()


def test_a_sweep_that_goes_on_says_with_what() -> None:
    events = [
        SweepContinued("sweep-1", 1, 2),
        SweepStarted("sweep-1", {"f16-max-s0": 10.0}, 1, trials=("f16-max-s0", "f16-none-s0")),
        TrialReused("f16-none-s0", "4f1c", {"val_accuracy_final": 0.9}, own=True),
    ]
    assert plain(events) == [
        "[0:01] goes on with sweep-1: 1 of 2 trials are complete",
        "[0:02] sweep-1: 1 trial, about 0:10 left",
        "[0:03] f16-none-s0: complete",
    ]
    state = SweepState(started=0.0)
    for event in events:
        state.apply(event, 0.0)
    assert [(one.name, one.state) for one in state.snapshot(0.0).trials] == [
        ("f16-max-s0", "waiting"), ("f16-none-s0", "finished"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "end",
    [
        TrialReused("f16-max-s0", "4f1c"),
        TrialPhase("f16-max-s0", "building"),
        TrialEnded("f16-max-s0", "FAILED", 1.0),
    ],
)
def test_a_trial_that_another_sweep_trains_is_told_until_that_is_over(end: Event) -> None:
    awaited = TrialAwaited("f16-max-s0", "sweep-0, process 123, since 09:30")
    said = "f16-max-s0 is being trained elsewhere (sweep-0, process 123, since 09:30): waiting"
    events = [SweepStarted("sweep-1", {"f16-max-s0": 10.0}, 1), awaited]
    assert plain(events)[1] == f"[0:02] {said} for it"
    state = SweepState(started=0.0)
    for event in events:
        state.apply(event, 0.0)
    assert said in rendered(state) and state.snapshot(0.0).told == (f"{said} for it",)
    state.apply(end, 1.0)
    assert said not in rendered(state)
    if isinstance(end, TrialReused):
        assert (state.done, state.total) == (1.0, 0)


@pytest.mark.parametrize("early", [True, False])
def test_a_delay_is_shown_until_a_trial_begins(early: bool) -> None:
    """A delay may come before or after the sweep is announced, and stays until a trial starts."""
    told = [Delay("compiling"), Stage("loading"), SweepStarted("sweep-1", {"f16-max-s0": 10.0}, 1)]
    state = SweepState(started=0.0)
    for event in told if early else [*told[1:], told[0]]:
        state.apply(event, 0.0)
    assert "compiling" in rendered(state)
    state.apply(TrialPhase("f16-max-s0", "building"), 1.0)
    assert "compiling" not in rendered(state)
    state = SweepState(started=0.0, stage="loading", delay="compiling")
    assert "compiling" in rendered(state) and "loading" in rendered(state)


def rendered(state: SweepState) -> str:
    console = Console(file=io.StringIO(), width=100)
    with console.capture() as captured:
        console.print(picture(state, 2.0))
    return captured.get()


def test_a_sweep_that_trains_nothing_says_so() -> None:
    stream = io.StringIO()
    plain = PlainProgress(stream, lambda: 0.0)
    plain(SweepStarted("sweep-1", {}, 1))
    assert stream.getvalue() == "[0:00] sweep-1: none to train\n"


def test_plain_progress_says_that_a_silent_step_still_runs() -> None:
    stream, now = io.StringIO(), [0.0]
    show = PlainProgress(stream, lambda: now[0])

    def lines_by(second: float, *events: Event) -> list[str]:
        """What is printed until `second`, if `remind` is called every second."""
        stream.seek(0)
        stream.truncate()
        for event in events:
            show(event)
        while now[0] < second:
            now[0] += 1
            show.remind()
        return stream.getvalue().splitlines()

    assert lines_by(11, Stage("starting Prefect")) == [
        "[0:00] starting Prefect",
        "[0:05] still starting Prefect",
        "[0:10] still starting Prefect",
    ]
    started = SweepStarted("sweep-1", {"f16-max-s0": 100.0}, 1)
    assert lines_by(40, started, TrialPhase("f16-max-s0", "training")) == [
        "[0:11] sweep-1: 1 trial, about 1:40 left",
        "[0:11] f16-max-s0: training",
    ]
    assert lines_by(42, TrialProgress("f16-max-s0", 0, 2, 50, 200)) == [
        "[0:41] f16-max-s0 epoch 1/2; about 1:32 left",
    ]
