"""What a benchmark does to the home folder of the program that it measures."""

from __future__ import annotations

from pathlib import Path


def forget_comparison(home: Path) -> None:
    """Remove the comparison that is kept, so that the next `compare` reads the runs."""
    for path in (home / "mlruns" / "state" / "made").glob("comparison-*"):
        path.unlink()
