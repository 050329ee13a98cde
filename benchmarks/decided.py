r"""Time to a decided answer: the rounds of this project against a loop with a fixed list of seeds.

    .venv/bin/python -m benchmarks.decided                    # about an hour and a half
    .venv/bin/python -m benchmarks.decided --loop-seeds 1     # about 45 minutes
    .venv/bin/python -m benchmarks.decided --race benchmarks/results/default-avx2.json
    .venv/bin/python -m benchmarks.decided --quick            # see that it runs

Both search the best of six variants within a margin of one point, on the images of the race
'default'. The loop does not see when it is decided, so it needs as many seeds as give the same
probability of naming a variant within the margin, whatever the means are: three in the hardest
case of `benchmarks/results/fixed-seeds.md` where seeds share 0.57 of their variance, as they do
here, and four where they share none. Three are counted, which is the better for the loop.

Ours runs once, and then the loop once for each seed. Each is timed from its start to its end. With
`--loop-seeds 1`, one is timed and counted three times: the seeds of a loop take equally long. With
`--race`, the loop's seeds are those of a race 'default' on the same kind of machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.contestants import (
    OURS,
    TITLES,
    Sweep,
    command_of,
    environment_of,
    export_images,
    python_of,
)
from benchmarks.machine import in_words, this_machine
from benchmarks.race import RACES, UNSET
from benchmarks.report import RESULTS, markdown, say, write
from benchmarks.timing import CommandFailed, Timed, timed

MARGIN = 1.0
LOOP = "keras_log_model"
LOOP_SEEDS = (0, 1, 2)
VARIANTS = 6


def main() -> int:
    """Measure both, and write figures and table."""
    given = _parse()
    for name in UNSET:
        os.environ.pop(name, None)
    sweep, name = RACES["default"].sweep, "decided"
    if given.quick:
        sweep, name = replace(sweep, filters=(4, 8), epochs=1, images=2000), "decided-quick"
    machine = this_machine()
    raced = _loops_of(given.race, machine) if given.race else []
    if not raced:
        python_of(LOOP)
    with tempfile.TemporaryDirectory(prefix="decided-") as folder:
        data = Path(folder) / "images.npz"
        export_images(sweep, data)
        try:
            ours = _run(OURS, sweep, data, 0)
            seeds = () if raced else LOOP_SEEDS[: given.loop_seeds]
            loops = [_run(LOOP, sweep, data, seed).as_json() for seed in seeds]
        except CommandFailed as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    comparison = json.loads(ours.output)["comparison"]
    record = {
        "work": sweep.as_json(),
        "machine": machine,
        "ours": ours.as_json(),
        "answer": comparison["rounds"]["answer"],
        "trainings": comparison["rounds"]["trials"],
        "loop": raced or loops,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    head = f"{sweep.in_words()}; a margin of {MARGIN:g} point.\n\n{in_words(machine)}"
    write(name, head, table(record))
    return 0


def table(record: dict[str, Any]) -> str:
    """Trainings and time of both, and what each has said by then."""
    loop = len(LOOP_SEEDS) * statistics.mean(run["wall_s"] for run in record["loop"])
    ours = record["ours"]["wall_s"]
    timed_seeds = f"{len(LOOP_SEEDS)} seeds, of which {len(record['loop'])} timed"
    rows = [
        [
            f"{TITLES[OURS]} --decide {MARGIN:g}",
            str(record["trainings"]),
            f"{ours:,.0f} s",
            f"{ours / loop:.2f}",
            record["answer"],
        ],
        [
            f"{TITLES[LOOP]}, {timed_seeds}",
            str(len(LOOP_SEEDS) * VARIANTS),
            f"{loop:,.0f} s",
            "1",
            "a mean for each variant, with no interval",
        ],
    ]
    return markdown(["what", "trainings", "wall", "share of the loop's", "says"], rows)


def _loops_of(file: Path, machine: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The loop's runs of a race, one for each seed.

    Raises:
        SystemExit: the race was run on another processor, or with other libraries.
    """
    race = json.loads(file.read_text(encoding="utf-8"))
    must_equal = ("processor", "cores", "versions")
    if different := [name for name in must_equal if race["machine"][name] != machine[name]]:
        raise SystemExit(f"error: {file} is of other {' and '.join(different)}: leave out --race")
    runs = {run["seed"]: run for run in race["runs"] if run["contestant"] == LOOP}
    return [{"wall_s": runs[seed]["wall_s"], "commit": runs[seed]["commit"]} for seed in LOOP_SEEDS]


def _run(name: str, sweep: Sweep, data: Path, seed: int) -> Timed:
    """One measured run in an empty folder."""
    say(f"{TITLES[name]}{'' if name == OURS else f', seed {seed}'}")
    with tempfile.TemporaryDirectory(prefix="decided-") as folder:
        output, scratch = Path(folder) / "output", Path(folder) / "scratch"
        output.mkdir()
        scratch.mkdir()
        words = command_of(name, sweep, data, output, seed)
        if name == OURS:
            at = words.index("--seeds")
            words[at : at + 2] = ["--seeds", "auto", "--decide", str(MARGIN)]
        run = timed(words, environment=environment_of(name, scratch), folder=output)
    say(f"  {run.wall_s:.1f} s")
    return run


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="decided", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small networks on few images")
    parser.add_argument(
        "--loop-seeds",
        type=int,
        choices=range(1, len(LOOP_SEEDS) + 1),
        default=len(LOOP_SEEDS),
        help="seeds of the loop that are timed (default: all)",
    )
    parser.add_argument(
        "--race", type=Path, metavar="FILE", help="count the loop's runs of this race 'default'"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
