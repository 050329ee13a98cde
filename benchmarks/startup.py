"""Waiting before and beside training: commands, the first epoch, a sweep run again.

    .venv/bin/python -m benchmarks.startup                   # about 5 minutes

Each is a whole command from its start; the first epoch is timed by the line that announces it.
Writes `benchmarks/results/startup.md`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator

from benchmarks.machine import in_words, this_machine
from benchmarks.report import markdown, say, spread, write
from benchmarks.timing import PROGRAM, timed

SWEEP = ["--filters", "16,32,64", "--pooling", "max,none", "--epochs", "1", "--train-limit", "2000"]
ANOTHER = ["--filters", "16,32,64,8", *SWEEP[2:]]


def main() -> None:
    """Measure all rounds and write the table."""
    parser = argparse.ArgumentParser(prog="startup", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    for _ in range(given.rounds):
        with tempfile.TemporaryDirectory() as home:
            for what, taken in _round(["--home", home]):
                seconds.setdefault(what, []).append(taken)
                say(f"{what}: {taken:.2f} s")
    rows = [[what, spread(taken).text(2, " s")] for what, taken in seconds.items()]
    head = f"{given.rounds} rounds. {in_words(this_machine())}"
    write("startup", head, markdown(["what", "from the command's start"], rows))


def _round(home: list[str]) -> Iterator[tuple[str, float]]:
    """One measurement of each, in a home that is empty at first."""
    yield "first epoch begins, empty home", first_epoch([*SWEEP, *home])
    yield "first epoch begins, home in use", first_epoch([*SWEEP, "--force", *home])
    yield "`cnn-pipeline --help`", timed([PROGRAM, "--help"]).wall_s
    yield "`compare` of six variants", timed([PROGRAM, "compare", *home]).wall_s
    again = timed([PROGRAM, "run", *SWEEP, *home, "--json"])
    assert not json.loads(again.output)["trained"]
    yield "the same sweep again, whole command", again.wall_s
    more = timed([PROGRAM, "run", *ANOTHER, *home, "--json"])
    variants = json.loads(more.output)["variants"]
    trained = [one["label"] for one in variants if not one["reused_from"]]
    assert trained == ["f8-max", "f8-none"], trained
    yield "two of eight variants new, whole command", more.wall_s


def first_epoch(words: list[str]) -> float:
    """Seconds until a trial trains; the sweep is run to its end."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [PROGRAM, "run", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    taken = 0.0
    for line in process.stderr:
        if not taken and line.rstrip().endswith(": training"):
            taken = time.perf_counter() - started
    if process.wait() != 0 or not taken:
        raise SystemExit(f"cnn-pipeline run {' '.join(words)} ended with {process.returncode}")
    return taken


if __name__ == "__main__":
    main()
