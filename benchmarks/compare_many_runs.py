"""`cnn-pipeline compare` of a six-variant sweep in stores of more and more runs.

    .venv/bin/python -m benchmarks.compare_many_runs         # about 4 minutes

One real sweep is trained, then its rows are repeated in the store's tables under new ids, until
it holds as many runs as wanted. Measured are the whole command and its peak memory. Writes
`benchmarks/results/compare-many-runs.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from benchmarks.machine import this_machine
from benchmarks.tables import markdown, spread
from benchmarks.timing import timed

RESULTS = Path(__file__).parent / "results"
PROGRAM = Path(sys.executable).parent / "cnn-pipeline"
TABLES = ("params", "tags", "metrics", "latest_metrics")


def main() -> int:
    """Fill the store in steps, compare after each, write the table."""
    parser = argparse.ArgumentParser(prog="compare_many_runs", description=__doc__)
    parser.add_argument("--runs", default="0,1000,10000", help="runs beside the sweep's own")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as home:
        words: list[str | Path] = [PROGRAM, "run", "--filters", "2,3,4", "--pooling", "max,none"]
        words += ["--epochs", "1", "--train-limit", "2000", "--home", home]
        subprocess.run(words, check=True, capture_output=True)
        database = Path(home, "mlruns", "mlflow.db")
        for wanted in map(int, given.runs.split(",")):
            total = _fill(database, wanted)
            compare: list[str | Path] = [PROGRAM, "compare", "--home", home]
            measured = [timed(compare) for _ in range(given.repeats)]
            rows.append(
                [
                    f"{total:,}",
                    spread([run.wall_s for run in measured]).text(2, " s"),
                    f"{spread([run.peak_mib for run in measured]).median:,.0f} MiB",
                ]
            )
            print(rows[-1], file=sys.stderr, flush=True)
    table = markdown(["runs in the store", "compare, whole command", "peak memory"], rows)
    text = f"{given.repeats} repeats. {this_machine().in_words()}.\n\n{table}"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "compare-many-runs.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def _fill(database: Path, wanted: int) -> int:
    """Repeat the first sweep until `wanted` runs stand beside it; the number of all runs.

    The copies are older than the sweep itself, which stays the latest.
    """
    with contextlib.closing(sqlite3.connect(database)) as store:
        # Copies have an id of their own form, so that a second call finds the originals.
        question = "SELECT run_uuid FROM runs WHERE run_uuid NOT LIKE 'copy%'"
        originals = [row[0] for row in store.execute(question)]
        have = store.execute("SELECT count(*) FROM runs").fetchone()[0]
        number = 0
        while have < wanted:
            number += 1
            sweep_id = f"copy-{uuid.uuid4().hex[:12]}"
            for original in originals:
                _copy(store, original, "copy" + uuid.uuid4().hex[4:], sweep_id, 1000 * number)
            have += len(originals)
        store.commit()
        return int(store.execute("SELECT count(*) FROM runs").fetchone()[0])


def _copy(store: sqlite3.Connection, original: str, copy: str, sweep_id: str, age: int) -> None:
    _insert(
        store,
        "runs",
        original,
        {"run_uuid": copy, "start_time": f"start_time - {age}", "end_time": f"end_time - {age}"},
    )
    for table in TABLES:
        _insert(store, table, original, {"run_uuid": copy})
    store.execute(
        "UPDATE tags SET value = ? WHERE run_uuid = ? AND key = 'sweep_id'", (sweep_id, copy)
    )


def _insert(store: sqlite3.Connection, table: str, original: str, changed: dict[str, str]) -> None:
    columns = [row[1] for row in store.execute(f"PRAGMA table_info({table})")]
    values = ["?" if name == "run_uuid" else changed.get(name, f'"{name}"') for name in columns]
    names = ", ".join(f'"{name}"' for name in columns)
    store.execute(
        f"INSERT INTO {table} ({names}) SELECT {', '.join(values)} FROM {table} WHERE run_uuid = ?",
        (changed["run_uuid"], original),
    )


if __name__ == "__main__":
    sys.exit(main())
