"""What a benchmark does to the home folder of the program that it measures."""

from __future__ import annotations

from pathlib import Path

from cnn_pipeline.base.home import Home


def forget_comparison(home: Path) -> None:
    """Remove the comparison that is kept, so that the next `compare` reads the runs.

    Raises:
        SystemExit: none is kept, so what was to be measured was not.
    """
    kept = list((Home(home).state / "made").glob("comparison-*"))
    if not kept:
        raise SystemExit(f"a comparison must be kept below {home}, received none")
    for path in kept:
        path.unlink()
