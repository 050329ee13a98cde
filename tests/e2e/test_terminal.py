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

from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment.outcome import Outcome
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
            env={name: value for name, value in os.environ.items() if name != "NO_COLOR"},
        ).stdout

    def run(self, command: Sequence[str], **environment: str) -> None:
        """Run a command until it has ended; the screen stays."""
        line = f"{shlex.join(command)}; echo '[status '$?]; sleep 600"
        given = [part for item in environment.items() for part in ("-e", "=".join(item))]
        size = ["-x", str(COLUMNS), "-y", str(LINES)]
        self.tmux("new-session", "-d", *size, *given, "sh", "-c", line)
        wait_until(lambda: "[status " in self.screen(), f"{command} ends")

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
