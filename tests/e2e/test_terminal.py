"""What stands on a terminal of 80 columns, and what goes into a pipe."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.tracking import names
from tests.experiment.scripted_store import ScriptedSweep
from tests.running import wait_until

pytestmark = pytest.mark.slow

COLUMNS, LINES = 80, 200
PROGRAM = [sys.executable, "-m", "cnn_pipeline.cli"]
PLAN = ["plan", "--filters", "16,32", "--pooling", "max,none"]

# Two trials as a sweep tells of them, without a sweep.
PROGRESS = """
import sys
from cnn_pipeline.base import events
from cnn_pipeline.cli.progress import progress_on

with progress_on(sys.stderr):
    events.emit(events.SweepStarted("pooling-1", {"f2-max-s0": 5.0, "f2-none-s0": 9.0}, 1))
    scores = {"val_accuracy_final": 0.5, "val_accuracy": 0.5}
    events.emit(events.TrialProgress("f2-max-s0", 0, 2, 600, 1200, scores))
    events.emit(events.TrialEnded("f2-max-s0", "FINISHED", 5.0, "", scores))
"""
# The same sweep, which goes on when Enter is pressed; then it ends.
PAUSED = """
import sys
from cnn_pipeline.base import events
from cnn_pipeline.cli.progress import Curves, progress_on

with progress_on(sys.stderr, curves=Curves("http://127.0.0.1:5000", "cnn-pipeline ui")):
    times = {"f2-max-s0": 5.0, "f2-none-s0": 9.0}
    events.emit(events.SweepStarted("pooling-1", times, 1, "pooling", "p", "1"))
    scores = {"val_accuracy_final": 0.5, "val_accuracy": 0.5}
    events.emit(events.TrialPhase("f2-none-s0", "training"))
    events.emit(events.TrialProgress("f2-none-s0", 1, 4, 600, 1200, {"val_accuracy": 0.4}))
    events.emit(events.TrialEnded("f2-max-s0", "FINISHED", 5.0, "", scores))
    input()
"""
GRID = Sweep(name="grid", axes=Axes(filters=(4, 8), pooling=("max", "none")), seeds=(0, 1))
MANY = Sweep(name="many", axes=Axes(filters=tuple(range(1, 25))), seeds=(0, 1, 2))
COLOR = re.compile(r"\x1b\[[0-9;]*(3[0-7]|38;|9[0-7])")


@dataclass(frozen=True)
class Terminal:
    """A real terminal of 80 columns, driven by tmux through a socket of its own."""

    socket: Path

    def tmux(self, *words: str) -> str:
        return subprocess.run(
            ["tmux", "-S", str(self.socket), "-f", os.devnull, *words],
            capture_output=True,
            text=True,
            check=True,
            # What the tests' own terminal wishes must not decide what this one shows.
            env={k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")},
        ).stdout

    def run(self, command: Sequence[str], **environment: str) -> None:
        """Run a command until it has ended; the screen stays."""
        self.start(command, **environment)
        self.wait_for("[status ")

    def start(
        self, command: Sequence[str], size: tuple[int, int] = (COLUMNS, LINES), **environment: str
    ) -> None:
        """Start a command on a screen of (columns, lines); the screen stays when it has ended."""
        # The shell outlives Ctrl-C, to say what the command made of it.
        line = f"trap : INT; {shlex.join(command)}; echo '[status '$?]; sleep 600"
        given = [part for item in environment.items() for part in ("-e", "=".join(item))]
        area = ["-x", str(size[0]), "-y", str(size[1])]
        self.tmux("new-session", "-d", *area, *given, "sh", "-c", line)

    def wait_for(self, text: str) -> str:
        """The screen as soon as it shows a text."""
        wait_until(lambda: text in self.screen(), f"the terminal shows {text!r}")
        return self.screen()

    @property
    def fills_the_screen(self) -> bool:
        """Whether a program has the whole screen, as an editor has."""
        return self.tmux("display-message", "-p", "#{alternate_on}").strip() == "1"

    def screen(self, *, escapes: bool = False) -> str:
        """What it shows, wrapped lines joined; colours as escape codes where asked for."""
        return self.tmux("capture-pane", "-p", "-J", *(["-e"] if escapes else [])).rstrip()


@pytest.fixture
def terminal(need: Callable[[bool, str], None]) -> Iterator[Terminal]:
    need(shutil.which("tmux") is not None, "tmux, to drive a terminal (apt install tmux)")
    # Not pytest's folder: the path of a socket has room for about 100 characters.
    with tempfile.TemporaryDirectory() as folder:
        one = Terminal(Path(folder, "tmux"))
        try:
            yield one
        finally:
            subprocess.run(["tmux", "-S", str(one.socket), "kill-server"], check=False)


def piped(*words: str, **environment: str) -> str:
    return subprocess.run(
        [*PROGRAM, *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    ).stdout


def fits(text: str) -> bool:
    """Whether no line is longer than the terminal is wide: such a line would be broken there."""
    return max(map(len, text.splitlines())) <= COLUMNS


def test_the_leaderboard_fits(terminal: Terminal, tiny: tuple[Home, Outcome]) -> None:
    terminal.run([*PROGRAM, "compare", "--home", str(tiny[0].root)])
    shown = terminal.screen()
    assert "[status 0]" in shown
    assert tiny[1].comparison.verdict.headline.split()[0] in shown
    assert "f2-none-d16-do25" in shown
    assert fits(shown)


def test_the_plan_fits(terminal: Terminal) -> None:
    terminal.run([*PROGRAM, *PLAN])
    shown = terminal.screen()
    assert "[status 0]" in shown
    assert "28x28x1 > C32 3x3 > P2" in shown
    assert fits(shown)


def test_a_long_line_would_be_seen(terminal: Terminal) -> None:
    terminal.run(["echo", "x" * (COLUMNS + 1)])
    assert not fits(terminal.screen())


@pytest.mark.parametrize("what", ["compare", "plan"])
def test_a_pipe_gets_no_escape_codes(what: str, tiny: tuple[Home, Outcome]) -> None:
    words = ["compare", "--home", str(tiny[0].root)] if what == "compare" else PLAN
    text = piped(*words)
    assert text
    assert "\x1b" not in text
    assert fits(text)


@pytest.mark.parametrize(("variables", "colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_progress_is_coloured_unless_no_color_says_so(
    terminal: Terminal, variables: dict[str, str], colored: bool
) -> None:
    terminal.run([sys.executable, "-c", PROGRESS], **variables)
    shown = terminal.screen()
    assert "[status 0]" in shown
    assert "f2-max-s0" in shown
    assert fits(shown)
    assert bool(COLOR.search(terminal.screen(escapes=True))) == colored


def test_a_large_terminal_is_filled_while_trials_run(terminal: Terminal) -> None:
    terminal.start([sys.executable, "-c", PAUSED], (120, 40))
    wait_until(lambda: terminal.fills_the_screen, "the screen is filled")
    shown = terminal.wait_for("f2-max has 50.0 % on validation images")
    assert "finished 0.500" in shown and "epoch 2/4" in shown
    assert "http://127.0.0.1:5000/#/experiments/1/runs" in shown
    terminal.tmux("send-keys", "Enter")
    left = terminal.wait_for("[status 0]")
    assert not terminal.fills_the_screen
    assert left.startswith("curves: http://127.0.0.1:5000/#/experiments/1/runs")
    assert "f2-max-s0        finished in 0:05, val 0.500" in left


@pytest.mark.parametrize("size", [(99, 40), (120, 19)])
def test_a_small_terminal_gets_lines(terminal: Terminal, size: tuple[int, int]) -> None:
    terminal.start([sys.executable, "-c", PAUSED], size)
    terminal.wait_for("f2-none-s0 epoch 2/4")
    assert not terminal.fills_the_screen


def test_watch_follows_a_sweep_from_before_its_start_to_its_end(
    terminal: Terminal, home: Home
) -> None:
    terminal.start([*PROGRAM, "watch", "--home", str(home.root)], (80, 24))
    terminal.wait_for("Waiting for one.")
    assert terminal.fills_the_screen
    made = ScriptedSweep(home, GRID, "grid-1")
    first, second, *others = GRID.trials()
    run_id = made.begin(first)
    made.tracker.tag(run_id, {names.IMAGE_SHAPE: "28x28x1"})
    assert "8 trials ended, 1 running, 7" in terminal.wait_for("epoch 1/")
    made.tracker.curves(run_id).add(0, {metric_names.VAL_ACCURACY: 0.4})
    made.tracker.curves(run_id).add(1, {metric_names.VAL_ACCURACY: 0.8})
    shown = terminal.wait_for("▁█       epoch 3/")
    assert fits(shown)
    made.tracker.end(run_id, "FAILED", "loss became NaN")
    made.end(second, wrong=20)
    terminal.wait_for("f4-none has 90.0 % on validation images")
    other_seed = [trial for trial in others if trial.seed != first.seed]
    for trial in others:
        if trial not in other_seed:
            made.end(trial, wrong=40)
    assert "mean of 2 seeds" not in terminal.wait_for("f4-none leads on validation images: 90.0 %")
    for trial in other_seed:
        made.end(trial, wrong=40)
    comparison = made.finish("FAILED")
    left = terminal.wait_for("[status 0]")
    assert not terminal.fills_the_screen
    assert "failed, took 0:" in left and "f4-max-s0 failed: loss became NaN" in left
    assert comparison.verdict.headline.split(";")[0][:60] in " ".join(left.split())


def test_q_leaves_a_sweep_that_goes_on(terminal: Terminal, home: Home) -> None:
    """One that does not fit on the screen, too."""
    made = ScriptedSweep(home, MANY, "many-1")
    made.begin(MANY.trials()[20])
    terminal.start([*PROGRAM, "watch", "--home", str(home.root)], (80, 24))
    shown = terminal.wait_for("starting")
    assert "24 variants x 3 seeds" in shown and " more variants" in shown
    assert shown.endswith("q leaves; the sweep goes on.") and fits(shown)
    terminal.tmux("send-keys", "q")
    left = terminal.wait_for("[status 0]")
    assert "starting" in left and "q leaves" not in left and "more variants" not in left


# Two small networks that one seed more cannot tell apart within a point.
ROUNDS = [
    "run", "--data", "fashion-mnist-sample", "--validation-size", "200", "--train-limit", "1000",
    "--filters", "2,3", "--pooling", "max", "--dense-units", "8", "--epochs", "2",
    "--decide", "0.1",
]  # fmt: skip


def test_ctrl_c_concludes_and_a_second_one_stops(terminal: Terminal, home: Home) -> None:
    """With real trainings: the first run ends in its second round, the other one goes on."""
    program = [*PROGRAM, *ROUNDS, "--no-live", "--home", str(home.root)]
    terminal.start(program)
    terminal.wait_for("Ctrl-C: conclude with what is there; twice: stop.")
    terminal.tmux("send-keys", "C-c")
    shown = " ".join(terminal.wait_for("[status ").split())
    assert "[status 0]" in shown
    assert "Not decided: stopped after 1 round (2 trainings)" in shown
    assert "to go on until it is decided within 0.1 points" in shown
    assert "run --filters 2,3 --pooling max --dense-units 8 --decide 0.1" in shown
    terminal.tmux("kill-session")

    terminal.start(program)
    shown = terminal.wait_for("round 1 ended")
    assert shown.count(": reused from run ") >= 2
    terminal.tmux("send-keys", "C-c")
    terminal.wait_for("concluding with what is there; Ctrl-C again stops")
    terminal.tmux("send-keys", "C-c")
    shown = terminal.wait_for("[status ")
    assert "[status 130]" in shown
    assert "error: interrupted" in shown and "Leaderboard" not in shown


def test_bash_completes(tmp_path: Path) -> None:
    """Bash itself asks, as it does when Tab is pressed."""
    program = tmp_path / "cnn-pipeline"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    script = """
eval "$(cnn-pipeline completion bash)"
function=$(complete -p cnn-pipeline | sed 's/.*-F \\([^ ]*\\).*/\\1/')
ask() {
    COMP_WORDS=(cnn-pipeline "$@"); COMP_CWORD=$#; COMPREPLY=()
    "$function" cnn-pipeline; echo "${COMPREPLY[*]}"
}
ask wa
ask run --see
ask run --sweep poo
ask run --pooling max,n
ask compare --format h
"""
    answer = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent.parent,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert answer.stdout.splitlines() == ["watch", "--seeds", "pooling", "max,none", "html"]
