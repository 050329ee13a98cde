"""Commands in processes of their own, stopped at a moment that a test chooses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from cnn_pipeline.base.home import Home
from tests.running import DEADLINE, descendants, gone, wait_until

PAUSING = Path(__file__).parent / "pausing"
# A sweep of two networks in seconds. Its seeds are listed, so that Ctrl-C does not conclude it.
TINY_RUN = (
    "run", "--filters", "2,3", "--pooling", "max", "--seeds", "0", "--workers", "1",
    "--data", "fashion-mnist-sample", "--validation-size", "500", "--train-limit", "600",
    "--epochs", "2", "--batch-size", "64", "--threads", "1",
)  # fmt: skip
TINY_TRIALS = {"f2-max-s0", "f3-max-s0"}
# Moments of it, as `command` takes them: the first function that is called then.
MOMENTS = {
    "before the store": "cnn_pipeline.tracking.store open_store",
    "trainers start": "cnn_pipeline.trainers.trainer preload",
    "training": "cnn_pipeline.trainers.trial _Reporter.on_epoch",
    "logging": "cnn_pipeline.tracking.models log_model",
    "comparing": "cnn_pipeline.experiment.steps comparison_files",
    "after the verdict": "cnn_pipeline.cli.launch _send_what_is_left",
}


def environment(home: Home, **more: str) -> dict[str, str]:
    """Without what the user has set for this project, Prefect and MLflow."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT", "MLFLOW_TRACKING", "CNN_PIPELINE"))
    }
    own = {"CNN_PIPELINE_HOME": str(home.root), "PREFECT_HOME": str(home.root / "prefect")}
    return {**kept, **own, **more}


@dataclass
class Command:
    """`cnn-pipeline` in a process group of its own."""

    process: subprocess.Popen[str]
    output: Path
    """What it writes to stdout and stderr."""
    pause_file: Path
    family: dict[int, psutil.Process] = field(default_factory=dict)
    """The command and all processes below it, when it was last looked at."""

    def wait_for_pause(self, seconds: float = DEADLINE) -> None:
        """Return when a process of this command has reached the chosen moment, and stands there."""

        def reached() -> bool:
            assert self.process.poll() is None, self.said()
            return self.pause_file.exists()

        wait_until(reached, "the moment of the fault", seconds)
        self.look()

    def look(self) -> None:
        """Remember the processes of this command, so that none is missed once it has ended."""
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            with suppress(psutil.NoSuchProcess):
                self.family[pid] = psutil.Process(pid)

    def resume(self) -> None:
        """Let what is paused go on."""
        self.pause_file.unlink(missing_ok=True)

    def interrupt(self) -> None:
        """Ctrl-C: a terminal sends it to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill_all(self) -> None:
        """End all processes at once, as a power loss does: none can react to the end of another."""
        self.look()
        for process in self.family.values():
            process.suspend()
        for process in self.family.values():
            process.kill()
        self.process.wait()
        wait_until(lambda: gone(set(self.family)), "the killed processes end", 10)

    def wait(self, seconds: float = DEADLINE) -> int:
        """The exit status."""
        return self.process.wait(seconds)

    def said(self) -> str:
        """What it has written so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def alive(self) -> list[str]:
        """Command lines of its processes that still run."""
        found = []
        for process in self.family.values():
            try:
                if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
            except psutil.NoSuchProcess:
                pass
        return found


@contextmanager
def command(home: Home, *words: str, pause_at: str = "", **variables: str) -> Iterator[Command]:
    """Start `cnn-pipeline` with these words; nothing of it survives the block.

    Args:
        home: folder of all state; output and the pause's file lie beside it.
        words: the command and its flags.
        pause_at: 'package.module Class.function', where the first process that calls it waits.
        variables: of the environment.
    """
    number = len(list(home.root.parent.glob("command-*.log")))
    output = home.root.parent / f"command-{number}.log"
    pause_file = output.with_suffix(".pause")
    if pause_at:
        paths = [str(PAUSING), os.environ.get("PYTHONPATH", "")]
        variables |= {
            "PAUSE_AT": pause_at,
            "PAUSE_FILE": str(pause_file),
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "cnn_pipeline.cli", *words],
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(home, **variables),
        )
    made = Command(process, output, pause_file)
    try:
        yield made
    finally:
        made.look()
        for one in made.family.values():
            with suppress(psutil.NoSuchProcess):
                one.kill()  # psutil compares the start time, so no other process is hit
        process.wait()


def run_again(
    home: Home, *words: str, seconds: float = 2 * DEADLINE, **variables: str
) -> tuple[int, str]:
    """Exit status and output of a command that runs to its end."""
    with command(home, *words, **variables) as again:
        status = again.wait(seconds)
        return status, again.said()


def seconds_since(begin: float) -> float:
    """Since a value of `time.monotonic()`."""
    return time.monotonic() - begin
