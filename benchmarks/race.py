r"""Race this project against its alternatives: the same work, in turn, on one machine.

    .venv/bin/python -m benchmarks.race              # all three races, about an hour and a half
    .venv/bin/python -m benchmarks.race --quick      # see that everything runs
    .venv/bin/python -m benchmarks.race sweep --rounds 7 --only cnn-pipeline,ray_tune
    .venv/bin/python -m benchmarks.race default --rounds 5 \
        --go-on benchmarks/results/default.partial.json      # after an interruption

In each round every contestant runs once, in its own processes and an empty folder. The order
rotates, and the round's number is the seed. A command is measured from its start to its end.
Figures go to `benchmarks/results/RACE.json` and a table to `RACE.md`; during a race, and after an
interrupted one, its runs are in `RACE.partial.json`. `--go-on` counts the whole rounds of such a
file, or of a race with fewer rounds. Each round is a comparison of its own, so rounds need not be
of one day, but of one kind of machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.contestants import (
    OURS,
    TITLES,
    Sweep,
    answers_of,
    command_of,
    environment_of,
    export_images,
    python_of,
)
from benchmarks.machine import in_words, this_machine
from benchmarks.race_report import sweep_table, training_table
from benchmarks.report import RESULTS, say, write
from benchmarks.timing import CommandFailed, rotated, timed

SWEEPERS = (OURS, "keras_log_model", "keras_tuner", "ray_tune")
UNSET = ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "KERAS_BACKEND", "PYTHONPATH")
"""Variables that a user may have set for other work and that would change the race."""


@dataclass(frozen=True)
class Race:
    """Who does which work how often."""

    name: str
    contestants: tuple[str, ...]
    sweep: Sweep
    rounds: int


RACES = {
    "sweep": Race("sweep", SWEEPERS, Sweep((16, 32, 64), ("max", "none"), 2, 12_000), 5),
    "default": Race("default", SWEEPERS, Sweep((16, 32, 64), ("max", "none"), 5, 60_000), 1),
    "training": Race("training", (OURS, "pytorch"), Sweep((64,), ("max",), 3, 12_000), 5),
}


def main(words: Sequence[str] | None = None) -> int:
    """Run the races that the command line names; return 1 if a contestant failed."""
    given = _parse(words)
    for name in UNSET:
        os.environ.pop(name, None)
    ok = True
    for name in given.races or RACES:
        race = RACES[name]
        if given.only:
            chosen = tuple(each for each in race.contestants if each in given.only)
            race = replace(race, contestants=chosen)
        if given.rounds:
            race = replace(race, rounds=given.rounds)
        if given.quick:
            few = replace(race.sweep, filters=race.sweep.filters[:1], epochs=2, images=2000)
            race = replace(race, name=f"{name}-quick", sweep=few, rounds=1)
        if race.contestants:
            ok = run_race(race, given.go_on) and ok
    return 0 if ok else 1


def run_race(race: Race, go_on: Path | None = None) -> bool:
    """Run all rounds, save every run as it ends, write the table; return whether none failed.

    Args:
        race: who does which work how often.
        go_on: file of a race with fewer rounds, which are counted.

    Raises:
        SystemExit: that file is missing, or of another race or machine.
    """
    machine = this_machine()
    record: dict[str, Any] = {"race": race.name, "work": race.sweep.as_json(), "machine": machine}
    runs = runs_of_whole_rounds(go_on, race, record) if go_on else []
    record["runs"] = runs
    for name in race.contestants:
        if name != OURS:
            python_of(name)
    RESULTS.mkdir(exist_ok=True)
    partial = RESULTS / f"{race.name}.partial.json"
    with tempfile.TemporaryDirectory(prefix="race-") as folder:
        data = Path(folder) / "images.npz"
        export_images(race.sweep, data)
        for index in range(len({run["round"] for run in runs}), race.rounds):
            for name in rotated(race.contestants, index):
                say(f"{race.name}: round {index + 1} of {race.rounds}, {TITLES[name]}")
                run = {"contestant": name, "round": index, "seed": index}
                run |= {"commit": machine["commit"], **_run_once(name, race.sweep, data, index)}
                runs.append(run)
                partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
                say(f"  {run['wall_s']:.1f} s" if "wall_s" in run else f"  {run['failed']}")
    partial.rename(RESULTS / f"{race.name}.json")
    table = training_table(runs) if "training" in race.name else sweep_table(runs)
    write(race.name, head(race.sweep, record), table)
    return not any("failed" in run for run in runs)


def head(sweep: Sweep, record: Mapping[str, Any]) -> str:
    """The work, the machine, and the rounds that were run at other commits, if any."""
    last = record["machine"]["commit"]
    older = {
        run["round"]: run["commit"] for run in record["runs"] if run.get("commit", last) != last
    }
    rounds = ", ".join(f"{index + 1} at {commit[:12]}" for index, commit in older.items())
    earlier = f". Rounds of earlier commits: {rounds}" if rounds else ""
    return f"{sweep.in_words()}.\n\n{in_words(record['machine'])}{earlier}"


def runs_of_whole_rounds(file: Path, race: Race, record: Mapping[str, Any]) -> list[Any]:
    """The runs in `file` of rounds in which all finished; `record` says what is measured now.

    Raises:
        SystemExit: the file is missing, or of other work, another processor or other libraries.
    """
    if not file.is_file():
        raise SystemExit(f"error: {file} is missing: leave out --go-on to begin")
    before = json.loads(file.read_text(encoding="utf-8"))
    then, now = (
        {"work": each["work"]}
        | {name: each["machine"][name] for name in ("processor", "cores", "versions")}
        for each in (before, record)
    )
    if different := [name for name in now if then[name] != now[name]]:
        raise SystemExit(f"error: {file} is of other {' and '.join(different)}: leave out --go-on")
    done: list[Any] = []
    for index in range(race.rounds):
        runs = [run for run in before["runs"] if run["round"] == index]
        finished = {run["contestant"] for run in runs if "failed" not in run}
        if finished != set(race.contestants):
            break
        done += [{"commit": before["machine"]["commit"], **run} for run in runs]
    return done


def _run_once(name: str, sweep: Sweep, data: Path, seed: int) -> dict[str, Any]:
    """One measured run in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="race-") as folder:
        output, scratch = Path(folder) / "output", Path(folder) / "scratch"
        output.mkdir()
        scratch.mkdir()
        try:
            run = timed(
                command_of(name, sweep, data, output, seed),
                environment=environment_of(name, scratch),
                folder=output,
            )
            return {**run.as_json(), "variants": answers_of(name, run.output, sweep)}
        except (CommandFailed, ValueError) as error:
            return {"failed": str(error)}


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="race", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("races", nargs="*", metavar="RACE", help=f"of {', '.join(RACES)}; or all")
    parser.add_argument("--rounds", type=int, help="instead of the race's own number")
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"of {', '.join(TITLES)}")
    parser.add_argument("--quick", action="store_true", help="one round with few images")
    parser.add_argument(
        "--go-on", type=Path, metavar="FILE", help="count the whole rounds of an earlier race"
    )
    given = parser.parse_args(words)
    unknown = [name for name in given.races if name not in RACES]
    unknown += [name for name in given.only or () if name not in TITLES]
    if unknown:
        parser.error(f"races are {', '.join(RACES)}, contestants {', '.join(TITLES)}: {unknown}")
    if given.rounds is not None and given.rounds < 1:
        parser.error(f"--rounds must be at least 1, received {given.rounds}")
    return given


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        say("interrupted; to go on: --go-on benchmarks/results/RACE.partial.json")
        sys.exit(130)
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {error}; see pip's message above, and run the command again")
