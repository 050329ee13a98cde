"""Does memory grow with the number of variants? Five tiny networks against fifty.

    .venv/bin/python -m benchmarks.memory                    # about 3 minutes

Peak memory of the command with all its processes, one trainer at a time, a page that several of
them share counted once, four times a second; writes `benchmarks/results/memory.md`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.machine import this_machine
from benchmarks.tables import markdown
from benchmarks.timing import timed

RESULTS = Path(__file__).parent / "results"
COUNTS = (5, 50)


def main() -> int:
    """Run both sweeps and write the table."""
    peaks = {count: _peak(count) for count in COUNTS}
    rows = [
        [str(count), f"{peak:,.0f} MiB", f"{peak / peaks[COUNTS[0]]:.2f}"]
        for count, peak in peaks.items()
    ]
    text = f"{this_machine().in_words()}.\n\n" + markdown(
        ["variants", "peak memory, all processes", f"times that of {COUNTS[0]}"], rows
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "memory.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def _peak(variants: int) -> float:
    """MiB of a sweep of that many networks: all images loaded, 2,000 of them trained on."""
    units = ",".join(str(16 + number) for number in range(variants))
    with tempfile.TemporaryDirectory() as home:
        words: list[str | Path] = [Path(sys.executable).parent / "cnn-pipeline", "run"]
        words += ["--filters", "2", "--pooling", "max", "--dense-units", units]
        words += ["--epochs", "1", "--train-limit", "2000", "--workers", "1", "--home", home]
        return timed([*words, "--json"], memory_first=True).peak_mib


if __name__ == "__main__":
    sys.exit(main())
