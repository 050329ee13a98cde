"""Medians and ratios of measurements that were taken in turn, and the tables that show them.

    .venv/bin/python -m benchmarks.report

copies the tables of `benchmarks/results` into the pages that show them. `make bench` does it last.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
PAGES = sorted((Path(__file__).parent.parent / "docs").rglob("*.md"))
_BLOCK = re.compile(r"<!-- results: (?P<name>[a-z0-9-]+) -->\n.*?<!-- end -->", re.DOTALL)


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest of some measurements."""

    median: float
    low: float
    high: float

    def text(self, digits: int = 1, unit: str = "") -> str:
        """'61.2 s (60.1-64.0)': the median, then the least and the greatest."""
        middle = f"{self.median:,.{digits}f}{unit}"
        return f"{middle} ({self.low:,.{digits}f}-{self.high:,.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """Median, least and greatest of at least one value.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("a median needs at least one value, received none")
    return Spread(statistics.median(values), min(values), max(values))


def ratios(values: Sequence[float], reference: Sequence[float]) -> Spread:
    """Spread of `values[i] / reference[i]`: each is divided by what ran in the same round.

    Raises:
        ValueError: the two differ in length, or are empty.
    """
    return spread([value / base for value, base in zip(values, reference, strict=True)])


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that ends with a newline; its first column is aligned to the left.

    Raises:
        ValueError: a row has more or fewer cells than the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row must have {len(header)} cells, received {list(row)}")
    rule = ["---", *(["---:"] * (len(header) - 1))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (header, rule, *rows))


def write(name: str, head: str, table: str) -> None:
    """Print a table below its head, and write both to `results/NAME.md`."""
    text = f"{head}.\n\n{table}"
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    print(text, flush=True)


def say(text: str) -> None:
    """Print progress to standard error."""
    print(text, file=sys.stderr, flush=True)


def filled(page: str, results: Path) -> str:
    """The page with each block between its two marks replaced by the table as measured.

    Raises:
        FileNotFoundError: a block names a table that has not been measured.
    """

    def block(found: re.Match[str]) -> str:
        table = (results / f"{found['name']}.md").read_text("utf-8").strip()
        return f"<!-- results: {found['name']} -->\n\n{table}\n\n<!-- end -->"

    return _BLOCK.sub(block, page)


def fill_pages() -> None:
    """Write the measured tables into the pages."""
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8"), RESULTS), encoding="utf-8")


if __name__ == "__main__":
    fill_pages()
