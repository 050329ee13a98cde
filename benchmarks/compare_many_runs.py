"""`cnn-pipeline compare` of a six-variant sweep in stores of more and more runs.

    .venv/bin/python -m benchmarks.compare_many_runs         # about 4 minutes

One real sweep is trained; then its rows are copied in the store's tables under new ids until the
store holds as many runs as wanted. Measured are the whole command and its peak memory. Writes
`benchmarks/results/compare-many-runs.md`.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import subprocess
import tempfile
import uuid
from pathlib import Path

from benchmarks.machine import in_words, this_machine
from benchmarks.report import markdown, say, spread, write
from benchmarks.timing import PROGRAM, timed

TABLES = ("params", "tags", "metrics", "latest_metrics")


def main() -> None:
    """Fill the store in steps, compare after each, write the table."""
    parser = argparse.ArgumentParser(prog="compare_many_runs", description=__doc__)
    parser.add_argument("--runs", default="0,1000,10000", help="runs beside the sweep's own")
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as home:
        words = [PROGRAM, "run", "--filters", "2,3,4", "--pooling", "max,none", "--epochs", "1"]
        words += ["--train-limit", "2000", "--home", home]
        subprocess.run(words, check=True, capture_output=True)
        for wanted in map(int, given.runs.split(",")):
            total = _fill(Path(home, "mlruns", "mlflow.db"), wanted)
            compared = [timed([PROGRAM, "compare", "--home", home]) for _ in range(given.repeats)]
            rows.append(
                [
                    f"{total:,}",
                    spread([run.wall_s for run in compared]).text(2, " s"),
                    f"{spread([run.peak_mib for run in compared]).median:,.0f} MiB",
                ]
            )
            say(" | ".join(rows[-1]))
    header = ["runs in the store", "compare, whole command", "peak memory"]
    head = f"{given.repeats} repeats. {in_words(this_machine())}"
    write("compare-many-runs", head, markdown(header, rows))


def _fill(database: Path, wanted: int) -> int:
    """Copy the first sweep until the store holds `wanted` runs; return the number of all runs.

    The copies are older than the sweep itself, which stays the latest.
    """
    with contextlib.closing(sqlite3.connect(database)) as store:
        # Ids of copies start with 'copy', so that a second call finds the originals.
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
    times = {name: f"{name} - {age}" for name in ("start_time", "end_time")}
    for table in ("runs", *TABLES):
        _insert(store, table, original, copy, times if table == "runs" else {})
    question = "UPDATE tags SET value = ? WHERE run_uuid = ? AND key = 'sweep_id'"
    store.execute(question, (sweep_id, copy))


def _insert(
    store: sqlite3.Connection, table: str, original: str, copy: str, changed: dict[str, str]
) -> None:
    columns = [row[1] for row in store.execute(f"PRAGMA table_info({table})")]
    values = ["?" if name == "run_uuid" else changed.get(name, f'"{name}"') for name in columns]
    names = ", ".join(f'"{name}"' for name in columns)
    store.execute(
        f"INSERT INTO {table} ({names}) SELECT {', '.join(values)} FROM {table} WHERE run_uuid = ?",
        (copy, original),
    )


if __name__ == "__main__":
    main()
