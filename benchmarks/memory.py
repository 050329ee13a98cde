"""Does memory grow with the number of variants? Five tiny networks against fifty.

    .venv/bin/python -m benchmarks.memory                    # about 3 minutes

Peak memory of the command with all its processes and one trainer, sampled four times a second; a
page that several processes share counts once. Writes `benchmarks/results/memory.md`.
"""

from __future__ import annotations

import argparse
import tempfile

from benchmarks.machine import in_words, this_machine
from benchmarks.report import markdown, write
from benchmarks.timing import PROGRAM, timed

COUNTS = (5, 50)


def main() -> None:
    """Run both sweeps and write the table."""
    argparse.ArgumentParser(prog="memory", description=__doc__).parse_args()
    peaks = {count: _peak(count) for count in COUNTS}
    rows = [
        [str(count), f"{peak:,.0f} MiB", f"{peak / peaks[COUNTS[0]]:.2f}"]
        for count, peak in peaks.items()
    ]
    header = ["variants", "peak memory, all processes", f"times that of {COUNTS[0]}"]
    write("memory", in_words(this_machine()), markdown(header, rows))


def _peak(variants: int) -> float:
    """MiB of a sweep of so many networks: all images loaded, 2,000 of them trained on."""
    units = ",".join(str(16 + number) for number in range(variants))
    with tempfile.TemporaryDirectory() as home:
        words = [PROGRAM, "run", "--filters", "2", "--pooling", "max", "--dense-units", units]
        words += ["--epochs", "1", "--train-limit", "2000", "--workers", "1"]
        return timed([*words, "--home", home, "--json"], memory_first=True).peak_mib


if __name__ == "__main__":
    main()
