"""Write the rows of `pytest --faults FILE` into the table of docs/reliability.md.

Run by `make faults`. With --keep, rows of tests that FILE does not name stay as they are.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: made by make faults -->\n", "<!-- end of faults -->\n"
HEAD = """\
| fault | when it happens | in order again after | promises | result | day | test |
| --- | --- | --- | --- | --- | --- | --- |
"""


def table_rows(records: Iterable[dict[str, Any]]) -> list[str]:
    """One line for each fault of each test function; its moments are joined.

    A test that ran several times counts with its last result.
    """
    newest = {(one["test"], one["fault"], one["moment"]): one for one in records}

    def place(record: dict[str, Any]) -> tuple[str, str]:
        test = re.sub(r"\[.*\]$", "", record["test"]).removeprefix("tests/")
        return test, record["fault"]

    rows = []
    for (test, fault), group in groupby(sorted(newest.values(), key=place), key=place):
        found = list(group)
        moments = list(dict.fromkeys(one["moment"] for one in found))
        seconds = [one["seconds"] for one in found if one["seconds"] is not None]
        failed = sum(one["result"] != "passed" for one in found)
        promises = {word for one in found for word in one["promises"].split()}
        cells = (
            fault,
            "; ".join(moments),
            f"{max(seconds):.1f} s" if seconds else "-",
            " ".join(sorted(promises)),
            f"{failed} of {len(found)} failed" if failed else "passed",
            max(one["day"] for one in found),
            f"`{test}`",
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows


def with_table(page: str, rows: list[str], keep: bool) -> str:
    """The page with these rows, and with `keep` those that it has of other tests."""
    before, begin, rest = page.partition(BEGIN)
    old, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"error: {PAGE.name} needs the lines {BEGIN!r} and {END!r}")

    def test_of(row: str) -> str:
        return row.rsplit("| `", 1)[-1]

    made = {test_of(row) for row in rows}
    kept = [row for row in old.splitlines()[2:] if keep and test_of(row) not in made]
    return (
        before
        + BEGIN
        + HEAD
        + "".join(f"{row}\n" for row in sorted([*kept, *rows], key=test_of))
        + END
        + after
    )


def main() -> None:
    """Rewrite the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    records = map(json.loads, options.file.read_text(encoding="utf-8").splitlines())
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_table(page, table_rows(records), options.keep), encoding="utf-8")


if __name__ == "__main__":
    main()
