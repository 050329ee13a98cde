"""Race this project against its alternatives: the same work, in turn, on one machine.

    .venv/bin/python -m benchmarks.race              # all three races, about an hour and a half
    .venv/bin/python -m benchmarks.race --quick      # to see that everything runs
    .venv/bin/python -m benchmarks.race sweep --rounds 7 --only cnn-pipeline,ray_tune
    .venv/bin/python -m benchmarks.race sweep --first 2:keras_tuner,ray_tune
    .venv/bin/python -m benchmarks.race default --rounds 5 \
        --go-on benchmarks/results/default.partial.json      # after it was cut short

In each round every contestant runs once, in its own processes and with an empty folder; the order
rotates, and the round's number is the seed. Measured is the command from its start to its end.
Figures go to `benchmarks/results/RACE.json` and a table to `RACE.md`; while a race runs, and where
it is cut short, its runs lie in `RACE.partial.json`. `--go-on` counts the whole rounds of such a
file, or of a race with fewer: each is a comparison of its own, so they need not be of one day, but
of a machine like this one.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.contestants import (
    OURS,
    RIVAL_OF,
    TITLES,
    Sweep,
    answers_of,
    command_of,
    environment_of,
    export_images,
)
from benchmarks.environments import python_of
from benchmarks.machine import this_machine
from benchmarks.race_report import sweep_tables, training_table
from benchmarks.remains import remains_of
from benchmarks.timing import CommandFailed, rotated, timed

RESULTS = Path(__file__).parent / "results"
SWEEPERS = (OURS, "keras_autolog", "keras_log_model", "keras_tuner", "ray_tune")
# What a user may have set for other work, and would send it elsewhere.
_UNSET = ("MLFLOW_TRACKING_URI", "PREFECT_API_URL", "KERAS_BACKEND", "PYTHONPATH")


@dataclass(frozen=True)
class Race:
    """Who does which work how often."""

    name: str
    contestants: tuple[str, ...]
    sweep: Sweep
    rounds: int
    first: Mapping[str, int] = field(default_factory=dict)
    """Contestants that run only in the first rounds, and in how many."""

    def of_round(self, index: int) -> list[str]:
        """Who runs in a round, beginning with another each time."""
        names = rotated(self.contestants, index)
        return [name for name in names if index < self.first.get(name, self.rounds)]


RACES = {
    "sweep": Race("sweep", SWEEPERS, Sweep((16, 32, 64), ("max", "none"), 2, 12_000), 5),
    "default": Race("default", SWEEPERS, Sweep((16, 32, 64), ("max", "none"), 5, 60_000), 1),
    "training": Race("training", (OURS, "pytorch"), Sweep((64,), ("max",), 3, 12_000), 5),
}


def main(words: Sequence[str] | None = None) -> int:
    """Run the races that the command line names; 1 where a contestant failed."""
    given = _parse(words)
    for name in _UNSET:
        os.environ.pop(name, None)
    ok = True
    for name in given.races or RACES:
        race = RACES[name]
        if given.only:
            chosen = tuple(each for each in race.contestants if each in given.only)
            race = replace(race, contestants=chosen)
        if given.rounds:
            race = replace(race, rounds=given.rounds)
        if given.first:
            race = replace(race, first=given.first)
        if given.quick:
            few = Sweep(race.sweep.filters[:1], race.sweep.pooling, 2, 2000)
            race = replace(race, name=f"{name}-quick", sweep=few, rounds=1)
        if race.contestants:
            ok = run_race(race, given.results, go_on=given.go_on) and ok
    return 0 if ok else 1


def run_race(race: Race, results: Path, *, go_on: Path | None = None) -> bool:
    """Run all rounds, keep every run as it ends, write the table; whether none failed.

    Args:
        race: who does which work how often.
        results: folder for the figures.
        go_on: figures of a race that had fewer rounds; they count.

    Raises:
        CannotGoOn: those figures are not there, or not of this race or machine.
    """
    machine = this_machine()
    record: dict[str, Any] = {
        "race": race.name,
        "work": race.sweep.as_json(),
        "machine": machine.as_json(),
        "runs": [],
    }
    if go_on:
        record["runs"] = runs_of_whole_rounds(go_on, race, record)
    done = len({run["round"] for run in record["runs"]})
    for name in race.contestants:
        if name != OURS:
            python_of(RIVAL_OF[name].environment)
    results.mkdir(parents=True, exist_ok=True)
    partial = results / f"{race.name}.partial.json"
    with tempfile.TemporaryDirectory(prefix="race-") as folder:
        data = Path(folder) / "images.npz"
        export_images(race.sweep, data)
        for index in range(done, race.rounds):
            for name in race.of_round(index):
                _say(f"{race.name}: round {index + 1} of {race.rounds}, {TITLES[name]}")
                run = {"contestant": name, "round": index, "seed": index}
                run |= {"commit": machine.commit}
                run |= _run_once(name, race.sweep, data, index)
                record["runs"].append(run)
                partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
                _say(f"  {run['wall_s']:.1f} s" if "wall_s" in run else f"  {run['failed']}")
    partial.rename(results / f"{race.name}.json")
    head = f"{race.sweep.in_words()}.\n\n{machine.in_words()}.{_older(record)}\n\n"
    tables = (training_table if "training" in race.name else sweep_tables)(record["runs"])
    (results / f"{race.name}.md").write_text(head + tables, encoding="utf-8")
    print(head + tables, flush=True)
    return not any("failed" in run for run in record["runs"])


class CannotGoOn(Exception):
    """What was measured before cannot be continued here; says why and what to do."""


def runs_of_whole_rounds(file: Path, race: Race, record: Mapping[str, Any]) -> list[Any]:
    """The runs in `file` whose round all finished; `record` says what is measured now.

    Raises:
        CannotGoOn: the file is not there, or of other work, another processor or other libraries.
    """
    if not file.is_file():
        raise CannotGoOn(f"{file} is not there: leave out --go-on to begin")
    before = json.loads(file.read_text(encoding="utf-8"))
    then, now = (
        {"work": each["work"]}
        | {name: each["machine"][name] for name in ("processor", "cores", "versions")}
        for each in (before, record)
    )
    if different := [name for name in now if then[name] != now[name]]:
        raise CannotGoOn(f"{file} is of other {' and '.join(different)}: leave out --go-on")
    done: list[Any] = []
    for index in range(race.rounds):
        runs = [run for run in before["runs"] if run["round"] == index]
        whole = {run["contestant"] for run in runs if "failed" not in run}
        if whole != set(race.of_round(index)):
            break
        done += [{"commit": before["machine"]["commit"], **run} for run in runs]
    return done


def _older(record: Mapping[str, Any]) -> str:
    """A sentence on rounds that were run at other commits; empty where there are none."""
    last = record["machine"]["commit"]
    older = {run["round"]: run["commit"] for run in record["runs"] if run["commit"] != last}
    if not older:
        return ""
    rounds = ", ".join(f"{index + 1} at {commit[:12]}" for index, commit in older.items())
    return f" Rounds of earlier commits: {rounds}."


def _run_once(name: str, sweep: Sweep, data: Path, seed: int) -> dict[str, Any]:
    """One measured run in a folder of its own, which is counted and thrown away."""
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
            answers = answers_of(name, run.output, sweep)
        except (CommandFailed, ValueError) as error:
            return {"failed": str(error)}
        left = remains_of(output).as_json()
        return {**run.as_json(), "variants": answers, "left": left}


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="race", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("races", nargs="*", metavar="RACE", help=f"of {', '.join(RACES)}; or all")
    parser.add_argument("--rounds", type=int, help="instead of the race's own number")
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"of {', '.join(TITLES)}")
    parser.add_argument(
        "--first", type=_first, metavar="N:NAMES", help="these run in the first N rounds only"
    )
    parser.add_argument("--quick", action="store_true", help="one round with few images")
    parser.add_argument(
        "--go-on", type=Path, metavar="FILE", help="count the whole rounds of an earlier race"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the figures")
    given = parser.parse_args(words)
    unknown = [name for name in given.races if name not in RACES]
    unknown += [name for name in (*(given.only or ()), *(given.first or ())) if name not in TITLES]
    if unknown:
        parser.error(f"races are {', '.join(RACES)}, contestants {', '.join(TITLES)}: {unknown}")
    if given.rounds is not None and given.rounds < 1:
        parser.error(f"--rounds must be at least 1, received {given.rounds}")
    return given


def _first(text: str) -> dict[str, int]:
    count, _, names = text.partition(":")
    return dict.fromkeys(names.split(","), int(count))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted; to go on: --go-on RESULTS/RACE.partial.json", file=sys.stderr)
        sys.exit(130)
    except CannotGoOn as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except subprocess.CalledProcessError as error:
        sys.exit(f"error: {error}; see pip's message above, and run the command again")
